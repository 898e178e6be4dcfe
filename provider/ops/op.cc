#include "ops/op.h"

#include "base/error.h"

namespace sparsecpu {

const char* Op::op_name() const {
  return std::visit([](const auto& op) { return op.op_name(); }, data);
}
const char* Op::kernel() const {
  return std::visit([](const auto& op) { return op.kernel(); }, data);
}
size_t Op::operands() const {
  return std::visit([](const auto& op) { return op.operands(); }, data);
}
bool Op::scale_travels() const {
  return std::visit([](const auto& op) { return op.scale_travels(); }, data);
}
std::optional<Axes> Op::own_axes() const {
  return std::visit([](const auto& op) { return op.own_axes(); }, data);
}
bool Op::keeps_axes() const {
  return std::visit([](const auto& op) { return op.keeps_axes(); }, data);
}
std::optional<NeededChannels> Op::needed_channels() const {
  return std::visit([](const auto& op) { return op.needed_channels(); }, data);
}
bool Op::keeps_images_apart() const {
  return std::visit([](const auto& op) { return op.keeps_images_apart(); }, data);
}
bool Op::fuses() const {
  return std::visit([](const auto& op) { return op.fuses(); }, data);
}
bool Op::takes_activation() const {
  return std::visit([](const auto& op) { return op.takes_activation(); }, data);
}
Work Op::work() const {
  return std::visit([](const auto& op) { return op.work(); }, data);
}
std::optional<Moves> Op::moves() const {
  return std::visit([](const auto& op) { return op.moves(); }, data);
}
std::optional<WindowUse> Op::window_use() const {
  return std::visit([](const auto& op) { return op.window_use(); }, data);
}
std::optional<LinearShape> Op::layer() const {
  return std::visit([](const auto& op) { return op.layer(); }, data);
}
ElementType Op::result_type(ElementType input) const {
  return std::visit([&](const auto& op) { return op.result_type(input); }, data);
}

Shape output_shape(const Op& op, const Shapes& inputs) {
  try {
    if (inputs.size() < op.operands()) {
      throw Error("it has " + std::to_string(inputs.size()) + " inputs; " + std::to_string(op.operands()) +
                  " are expected");
    }
    for (const Shape& shape : inputs) {
      if (element_count(shape) < 0) throw Error("an input has the impossible shape " + dims_text(shape));
    }
    return std::visit([&](const auto& data) { return data.shape(inputs); }, op.data);
  } catch (const Error& error) {
    throw Error("node '" + op.name + "': " + error.what());
  }
}

const Attention* attention_of(const OpData& data) {
  return std::visit(
      [](const auto& op) -> const Attention* {
        if constexpr (std::is_base_of_v<Attention, std::decay_t<decltype(op)>>) return &op;
        return nullptr;
      },
      data);
}

}  // namespace sparsecpu
