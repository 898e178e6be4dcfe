#include "run/program.h"

#include <array>

namespace sparsecpu {

const char* layout_change_name(LayoutChange change) {
  constexpr std::array<const char*, kLayoutChanges> kNames{"", "import", "export", "relayout", "halo", "copy"};
  return kNames[static_cast<size_t>(change)];
}

std::vector<float*> buffer_addresses(const Program& program, std::byte* arena, const std::vector<const void*>& inputs,
                                     const std::vector<void*>& outputs) {
  std::vector<float*> addresses;
  addresses.reserve(program.buffers.size());
  for (const BufferPlace& place : program.buffers) {
    switch (place.kind) {
      case BufferPlace::Kind::kArena:
      case BufferPlace::Kind::kWorker:
        addresses.push_back(reinterpret_cast<float*>(arena + place.offset));
        break;
      case BufferPlace::Kind::kInput:
        addresses.push_back(static_cast<float*>(const_cast<void*>(inputs[place.index])));
        break;
      case BufferPlace::Kind::kConstant:
        addresses.push_back(static_cast<float*>(const_cast<void*>(program.constants[place.index])));
        break;
      case BufferPlace::Kind::kOutput:
        addresses.push_back(static_cast<float*>(outputs[place.index]));
        break;
    }
  }
  return addresses;
}

void move_arena(const Program& program, std::byte* arena, std::vector<float*>* addresses) {
  for (size_t b = 0; b < program.buffers.size(); ++b) {
    const BufferPlace& place = program.buffers[b];
    const bool moves = place.kind == BufferPlace::Kind::kArena || place.kind == BufferPlace::Kind::kWorker;
    if (moves) (*addresses)[b] = reinterpret_cast<float*>(arena + place.offset);
  }
}

}  // namespace sparsecpu
