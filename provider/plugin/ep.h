// The provider of one session: claims nodes, then compiles what it claimed.
#pragma once
#include <memory>
#include <string>

#include "abi/ort_abi.h"
#include "plugin/ledger.h"
#include "plugin/log.h"
#include "plugin/options.h"
#include "plugin/report.h"
#include "plugin/scratch.h"
#include "run/session_threads.h"

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
  void log_claims(const Graph& graph, const ClaimResult& result) const;
  void warn_of_unknown_axes();

  Log log_;
  Options options_;
  // A bad option, reported by Compile: ORT answers an error of CreateEp or GetCapability with a session on
  // the CPU provider, which nobody would notice.
  std::string option_error_;
  bool warned_of_axes_ = false;
  Ledger ledger_;
  std::shared_ptr<SessionThreads> threads_;
  std::shared_ptr<SessionReport> report_;
  std::shared_ptr<ScratchPool> scratch_;
};

}  // namespace sparsecpu
