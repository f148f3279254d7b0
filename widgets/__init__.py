"""The notebooks' interactive figures. Each shows static HTML where no kernel is live."""
