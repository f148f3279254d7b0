def timeline_of(recording):
    import numpy as np
    e = recording.events()
    np.save('/tmp/coalesce/tl_events.npy', e)
    return e
