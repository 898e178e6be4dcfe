#include "facts/numbers.h"

#include <algorithm>
#include <cmath>

#include "facts/constants.h"

namespace sparsecpu {
namespace {

template <class Function>
struct Named {
  std::string_view name;
  Function function;
};

constexpr double flag(bool holds) { return holds ? 1 : 0; }

constexpr Named<UnaryNumber> kUnary[] = {
    {"Cast", [](double a) { return a; }},
    {"Identity", [](double a) { return a; }},
    {"Sqrt", [](double a) { return std::sqrt(a); }},
    {"Reciprocal", [](double a) { return 1 / a; }},
    {"Neg", [](double a) { return -a; }},
    {"Not", [](double a) { return flag(a == 0); }},
    {"Floor", [](double a) { return std::floor(a); }},
    {"Ceil", [](double a) { return std::ceil(a); }},
};

constexpr Named<BinaryNumber> kBinary[] = {
    {"Add", [](double a, double b) { return a + b; }},
    {"Sub", [](double a, double b) { return a - b; }},
    {"Mul", [](double a, double b) { return a * b; }},
    {"Div", [](double a, double b) { return a / b; }},
    {"Mod", [](double a, double b) { return a - b * std::floor(a / b); }},
    {"Pow", [](double a, double b) { return std::pow(a, b); }},
    {"Max", [](double a, double b) { return std::max(a, b); }},
    {"Min", [](double a, double b) { return std::min(a, b); }},
    {"Equal", [](double a, double b) { return flag(a == b); }},
    {"Less", [](double a, double b) { return flag(a < b); }},
    {"LessOrEqual", [](double a, double b) { return flag(a <= b); }},
    {"Greater", [](double a, double b) { return flag(a > b); }},
    {"GreaterOrEqual", [](double a, double b) { return flag(a >= b); }},
    {"And", [](double a, double b) { return flag(a != 0 && b != 0); }},
    {"Or", [](double a, double b) { return flag(a != 0 || b != 0); }},
};

template <class Function, size_t N>
Function find(const Named<Function> (&table)[N], std::string_view name) {
  const auto found = std::find_if(table, table + N, [&](const auto& entry) { return entry.name == name; });
  return found == table + N ? nullptr : found->function;
}

}  // namespace

UnaryNumber unary_number(std::string_view op_type, bool integers) {
  if (integers && op_type == "Cast") return [](double a) { return std::trunc(a); };
  return find(kUnary, op_type);
}

BinaryNumber binary_number(std::string_view op_type, bool integers) {
  if (integers && op_type == "Div") return [](double a, double b) { return std::trunc(a / b); };
  return find(kBinary, op_type);
}

Numbers spread(const Numbers& numbers, const Shape& from, const Shape& to) {
  Numbers result(static_cast<size_t>(element_count(to)));
  for (size_t i = 0; i < result.size(); ++i) {
    int64_t rest = static_cast<int64_t>(i), index = 0, stride = 1;
    for (size_t axis = to.size(); axis-- > 0;) {
      const int64_t at = rest % to[axis];
      rest /= to[axis];
      if (axis + from.size() < to.size()) continue;
      const int64_t size = from[axis + from.size() - to.size()];
      index += size == 1 ? 0 : at * stride;
      stride *= size;
    }
    result[i] = numbers[static_cast<size_t>(index)];
  }
  return result;
}

}  // namespace sparsecpu
