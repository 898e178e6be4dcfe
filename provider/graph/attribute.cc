#include <algorithm>
#include <cmath>
#include <utility>

#include "graph/graph.h"

namespace sparsecpu {
namespace {

// An attribute of another type than expected counts as absent: the caller's fallback is what ONNX defines.
template <class T>
T find(const Node& node, const std::string& key, T fallback) {
  const auto it = node.attributes.find(key);
  if (it == node.attributes.end()) return fallback;
  const T* value = std::get_if<T>(&it->second);
  return value != nullptr ? *value : fallback;
}

}  // namespace

int64_t Node::attribute(const std::string& key, int64_t fallback) const { return find(*this, key, fallback); }
float Node::attribute(const std::string& key, float fallback) const { return find(*this, key, fallback); }
std::string Node::attribute(const std::string& key, const char* fallback) const {
  return find(*this, key, std::string(fallback));
}
std::vector<int64_t> Node::attribute(const std::string& key, std::vector<int64_t> fallback) const {
  return find(*this, key, std::move(fallback));
}
std::vector<float> Node::attribute(const std::string& key, std::vector<float> fallback) const {
  return find(*this, key, std::move(fallback));
}

const std::string* Node::nan_attribute() const {
  const auto found = std::find_if(attributes.begin(), attributes.end(), [](const auto& attribute) {
    const float* number = std::get_if<float>(&attribute.second);
    return number != nullptr && std::isnan(*number);
  });
  return found == attributes.end() ? nullptr : &found->first;
}

}  // namespace sparsecpu
