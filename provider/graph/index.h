// Lists whose indices come from a model file: an index that leads nowhere finds nothing, it reads no foreign memory.
#pragma once
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sparsecpu {

// Indices of values or nodes. -1, also past the end: there is none.
class IndexList {
 public:
  IndexList() = default;
  IndexList(std::initializer_list<int> list) : list_(list) {}
  explicit IndexList(std::vector<int> list) : list_(std::move(list)) {}

  int operator[](size_t i) const { return i < list_.size() ? list_[i] : -1; }
  void set(size_t i, int index) { list_.at(i) = index; }
  void push_back(int index) { list_.push_back(index); }
  void clear() { list_.clear(); }

  bool empty() const { return list_.empty(); }
  size_t size() const { return list_.size(); }
  auto begin() const { return list_.begin(); }
  auto end() const { return list_.end(); }
  auto begin() { return list_.begin(); }
  auto end() { return list_.end(); }
  const std::vector<int>& all() const { return list_; }
  bool operator==(const IndexList&) const = default;

 private:
  std::vector<int> list_;
};

// Things by their index. That of -1 is an empty one, so questions about a value that nobody makes, or an input that is
// left out, are answered "no"; it cannot be written. Throws Error for every other index that is out of range.
template <class T>
class Table {
 public:
  Table() = default;
  explicit Table(size_t size) : items_(size) {}

  const T& operator[](std::integral auto index) const {
    static const T kNone{};
    return std::cmp_equal(index, -1) ? kNone : items_[checked(index)];
  }
  T& operator[](std::integral auto index) { return items_[checked(index)]; }
  T& back() { return items_[checked(static_cast<int64_t>(items_.size()) - 1)]; }

  void resize(size_t size) { items_.resize(size); }
  void push_back(T item) { items_.push_back(std::move(item)); }
  T& emplace_back() { return items_.emplace_back(); }

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  auto begin() { return items_.begin(); }
  auto end() { return items_.end(); }

 private:
  size_t checked(std::integral auto index) const {
    if (std::cmp_less(index, 0) || std::cmp_greater_equal(index, items_.size())) {
      throw Error("index " + std::to_string(index) + " of a list of " + std::to_string(items_.size()) + " in a graph");
    }
    return static_cast<size_t>(index);
  }

  std::vector<T> items_;
};

}  // namespace sparsecpu
