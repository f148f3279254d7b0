// Arrays of structures against structures of arrays: the kinetic energy of n particles.

struct Particle {
  float x, y, z, charge;
  float vx, vy, vz, mass;
};

__device__ float energy(float mass, float vx, float vy, float vz) {
  return 0.5f * mass * (vx * vx + vy * vy + vz * vz);
}

// Step 1. An array of structures: lanes are 32 bytes apart, so each of the four loads touches 32
// sectors and uses 4 bytes of each.
extern "C" __global__ void energy_aos(const float* __restrict__ particles,
                                      float* __restrict__ out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const Particle& p = reinterpret_cast<const Particle*>(particles)[i];
  out[i] = energy(p.mass, p.vx, p.vy, p.vz);
}

// Step 2. The same array, the four fields read as one float4: a quarter of the requests, but the
// other half of every sector still comes along unused.
extern "C" __global__ void energy_aos_float4(const float4* __restrict__ particles,
                                             float* __restrict__ out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float4 moving = particles[2 * i + 1];  // vx, vy, vz, mass
  out[i] = energy(moving.w, moving.x, moving.y, moving.z);
}

// Step 3. A structure of arrays: each load is of neighbours, 4 sectors, every byte of them used.
extern "C" __global__ void energy_soa(const float* __restrict__ mass,
                                      const float* __restrict__ vx,
                                      const float* __restrict__ vy,
                                      const float* __restrict__ vz, float* __restrict__ out,
                                      int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = energy(mass[i], vx[i], vy[i], vz[i]);
}
