// The provider of one session: claims nodes, then compiles what it claimed.
#pragma once
#include <memory>
#include <set>
#include <string>

#include "abi/ort_abi.h"
#include "claim/claim.h"
#include "plugin/log.h"
#include "plugin/options.h"
#include "plugin/report.h"
#include "plugin/scratch.h"

namespace sparsecpu {

class Ep : public ort::OrtEp {
 public:
  Ep(const ort::OrtSessionOptions* session_options, const ort::OrtLogger* logger);

 private:
  void get_capability(const ort::OrtGraph* graph, ort::OrtEpGraphSupportInfo* support);
  void claim_anything(const ort::OrtGraph* graph, ort::OrtEpGraphSupportInfo* support);
  void compile(const ort::OrtGraph** graphs, const ort::OrtNode** fused_nodes, size_t count,
               ort::OrtNodeComputeInfo** infos);
  void set_dynamic_options(const char* const* keys, const char* const* values, size_t count);
  void remember(const KnownFacts& known);
  void log_claims(const Graph& graph, const ClaimResult& result) const;

  Log log_;
  Options options_;
  // A bad option, reported by Compile: ORT answers an error of CreateEp or GetCapability with a session on
  // the CPU provider, which nobody would notice.
  std::string option_error_;
  // What the graphs told of the values of claimed regions: a region alone could not prove it again.
  KnownFacts known_;
  std::set<std::string> ambiguous_;  // names that mean different values in different graphs
  std::shared_ptr<SessionReport> report_;
  std::shared_ptr<ScratchPool> scratch_;
};

}  // namespace sparsecpu
