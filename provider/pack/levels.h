// The instruction-set levels, in one list: what a CPU needs to run one, its kernels, and how fast it is.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cpu.h"
#include "base/isa.h"
#include "kernels/kernels.h"
#include "pack/speeds.h"

namespace sparsecpu {

struct Level {
  std::string_view name;
  Features needs;
  const KernelTable* kernels;
  const LevelSpeed* speed;
};

std::span<const Level> levels();  // of two that a CPU runs, the later one is the faster
const Level& level_of(Isa isa);
std::vector<std::string> level_names();
const Level* find_level(std::string_view name);  // null: no level is called so
Isa isa_of(const Level& level);

bool runs_here(const Level& level);  // on this CPU
// Those that run here and are used, as in the list: SPARSECPU_ISA names the last, which is what `auto` takes.
std::vector<Isa> available_isas();

inline const KernelTable& kernels_for(Isa isa) { return *level_of(isa).kernels; }
inline const LevelSpeed& speed_of(Isa isa) { return *level_of(isa).speed; }
inline const LayerSpeed& layer_speed(Isa isa, bool bytes) { return bytes ? speed_of(isa).bytes : speed_of(isa).floats; }
inline const PassSpeed& pass_speed(Isa isa) { return speed_of(isa).passes; }

// Whether code is generated for the level's layers of floats, of bytes: by this build, where the system allows it.
bool jit_available(Isa isa, bool bytes);

}  // namespace sparsecpu
