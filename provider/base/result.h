// A value, or the reason why there is none: a sentence that a person can act on.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace sparsecpu {

struct Reason {
  std::string text;
};
inline Reason decline(std::string text) { return {std::move(text)}; }

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Reason reason) : state_(std::in_place_index<1>, std::move(reason)) {}

  explicit operator bool() const { return state_.index() == 0; }
  const T& operator*() const { return std::get<0>(state_); }
  T& operator*() { return std::get<0>(state_); }
  const T* operator->() const { return &**this; }
  T* operator->() { return &**this; }
  const Reason& reason() const { return std::get<1>(state_); }
  const std::string& why() const { return reason().text; }

 private:
  std::variant<T, Reason> state_;
};

// Of what is only checked. {}: nothing is wrong.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Reason reason) : reason_(std::move(reason)) {}

  explicit operator bool() const { return !reason_; }
  const Reason& reason() const { return *reason_; }
  const std::string& why() const { return reason_->text; }

 private:
  std::optional<Reason> reason_;
};
using Check = Result<void>;

}  // namespace sparsecpu
