// What became of every node of a session's model, and how long it took. Written by GetCapability and Compile, read by
// Python.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/export.h"
#include "claim/claim.h"
#include "plugin/fused_node.h"
#include "plugin/options.h"

namespace sparsecpu {

struct NodeReport {
  std::string name, op_type, domain;
  std::vector<std::string> inputs, outputs;  // names of values
  std::string provider;                      // ours, another's, or "": left to ORT
  NodeDecision decision;                     // decision.region counts within the session
  std::string kernel;                        // "" until compiled
  int64_t packed_bytes = 0;
  int computed_in = -1;  // the node of this graph in whose kernel it is computed; -1: its own
};
struct GraphReport {
  std::string name, parent_node;  // parent_node: of If, Loop or Scan; "" for the main graph
  std::string error;              // why nothing of this graph was claimed, if that was a failure
  std::vector<NodeReport> nodes;
  int pass = 0;  // over the model, in which ONNX Runtime showed it last
};

struct NodeTimes {
  bool measured = false;
  double kernel_us = 0;
  double multiply_adds = 0;                        // of an average run, at the shapes that ran
  std::array<double, kLayoutChanges> layout_us{};  // to bring its inputs and output into form
};

class SessionReport {
 public:
  explicit SessionReport(std::shared_ptr<const SessionThreads> threads);

  uint64_t id() const { return id_; }
  void set_options(const OptionList& given, const Options& options);
  // A graph all of whose nodes are left to ORT because claiming failed.
  void add_failed_graph(const Graph& graph, const std::string& parent_node, const std::string& error);
  // Returns the number of its first region within the session.
  size_t add_graph(const Graph& graph, const std::string& parent_node, const ClaimResult& result);
  // Whether the region is still one: ONNX Runtime may show a graph again, as if nothing had been claimed.
  bool shows(size_t number) const;
  // Whether a graph has the axis, so that a prediction used a size of it.
  bool assumes(const std::string& axis) const;
  // Layers whose weights were packed for this session, not shared with one that was there.
  void add_packed(int64_t layers);
  // What became of the nodes of region `number`, which Compile has put into `node`.
  void add_compiled(size_t number, const FusedNode& node);
  // Turns measuring on, from zero, or off: for every compiled region.
  void measure(bool on);
  // Keeps what the kernels make in the runs that follow, or stops and forgets it: for every compiled region.
  void keep_values(bool on);
  // Of the regions of the main graph.
  std::vector<KeptValue> values() const;

  std::string json() const;

 private:
  struct RegionReport {
    std::string fused_name;  // "" until compiled
    size_t graph = 0;
    std::vector<int> nodes;              // of that graph; none: it is shown without the region now
    std::vector<int> claimed_nodes;      // the same, as the Graph counted them that was claimed
    std::shared_ptr<RegionTimes> times;  // null until compiled
    std::shared_ptr<RegionValues> values;
    std::vector<int> op_nodes;  // of each Op: the node of `graph` that it belongs to
  };
  size_t place_of(const Graph& graph, const std::string& parent_node);
  std::vector<int> show_nodes(size_t place, const Graph& graph);
  void move_region(const std::vector<int>& moved, RegionReport* region);
  static void forget(RegionReport* region);
  std::vector<NodeTimes> node_times(size_t graph) const;

  static std::mutex mutex_;  // of all reports, so that fork() can wait for it
  static const int waits_at_fork_;
  const uint64_t id_;
  const std::shared_ptr<const SessionThreads> threads_;
  OptionList options_;
  Isa isa_ = Isa::kScalar;
  std::map<std::string, int64_t> assumed_;
  int pass_ = 0;
  int64_t layers_packed_ = 0;
  std::vector<GraphReport> graphs_;
  std::vector<RegionReport> regions_;
};

// How a Python session finds its report: it sends the dynamic option `identify` with a nonce through its
// session, the provider files its report under the nonce, Python takes it out again. The table holds the
// last 64 nonces that nobody has taken.
constexpr const char kIdentifyOption[] = "ep.sparsecpuprovider.identify";
void file_report(const std::string& nonce, std::shared_ptr<const SessionReport> report);

// The other dynamic options, "on" or "off": measure the runs of this session, and keep what its kernels make.
constexpr const char kMeasureOption[] = "ep.sparsecpuprovider.measure";
constexpr const char kKeepValuesOption[] = "ep.sparsecpuprovider.keep_values";

// JSON, or "" when no report was filed under the nonce.
SPARSECPU_EXPORT std::string take_report(const std::string& nonce);
// What its regions have kept.
SPARSECPU_EXPORT std::vector<KeptValue> take_values(const std::string& nonce);

}  // namespace sparsecpu
