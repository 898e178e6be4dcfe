// Plans as text, for tests/plan_dump.py: all that decides what a plan computes and where, and nothing that differs from
// process to process. Planning runs no kernel, so this works for levels that the machine lacks.
#include <cxxabi.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <typeinfo>

#include "lower/region.h"
#include "run/byte_steps.h"
#include "run/chain_steps.h"
#include "run/layout_steps.h"
#include "run/norm_steps.h"
#include "run/pointwise_steps.h"
#include "run/quantized_steps.h"
#include "run/token_steps.h"
#include "testing.h"

namespace py = pybind11;
using namespace sparsecpu;

namespace {

// FNV-1a: equal in every process, unlike ContentHash.
class StableHash {
 public:
  StableHash& add(const void* data, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) value_ = (value_ ^ static_cast<const uint8_t*>(data)[i]) * 0x100000001b3;
    return *this;
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

template <class T>
uint64_t hash_of(const std::vector<T>& values) {
  return StableHash().add(values.data(), values.size() * sizeof(T)).value();
}

class PlanText {
 public:
  explicit PlanText(const Plan& plan) {
    out_ << "plan of " << plan.workers << " workers: arena " << plan.arena_bytes << ", between " << plan.between_bytes
         << "\n";
    for (const Pass& pass : plan.passes) {
      program_ = pass.program.get();
      out_ << " pass of " << pass.slices << " slices, " << program_->workers << " workers: arena "
           << program_->arena_bytes << ", worker floats " << program_->worker_floats << ", plan bytes "
           << program_->plan_bytes << ", constants " << program_->constants.size() << "\n";
      for (const Port& port : pass.inputs) write("input", port);
      for (const Port& port : pass.outputs) write("output", port);
      write_buffers();
      for (const auto& step : program_->steps) write_step(*step, "  ");
    }
  }
  std::string text() const { return out_.str(); }

 private:
  void write(const char* what, const Port& port) {
    out_ << "  " << what << " " << static_cast<int>(port.kind) << "/" << port.index << " at " << port.offset
         << ", slice bytes " << port.slice_bytes << "\n";
  }

  void write_buffers() {
    std::vector<std::pair<int64_t, int64_t>> places;
    for (const BufferPlace& place : program_->buffers) {
      if (place.bytes > 0) places.emplace_back(place.offset, place.bytes);
    }
    std::sort(places.begin(), places.end());
    for (const auto& [offset, bytes] : places) out_ << "  buffer at " << offset << ", bytes " << bytes << "\n";
  }

  // A buffer is named by its place: its number says nothing.
  void field(const char* name, TensorRef ref) {
    constexpr const char* kKinds[] = {"arena", "worker", "input", "output", "constant"};
    const BufferPlace& place = program_->buffers[static_cast<size_t>(ref.buffer)];
    out_ << " " << name << "=" << kKinds[static_cast<size_t>(place.kind)] << place.index << ":" << place.offset << "+"
         << ref.offset;
  }
  void field(const char* name, const Walk& walk) {
    field(name, walk.ref);
    out_ << "(" << walk.group_step << "," << walk.row_step << "," << walk.column_step << "," << walk.index_step << ")";
  }
  void field(const char* name, const LaneTensor& tensor) {
    const Geometry& g = tensor.geometry;
    field(name, tensor.ref);
    out_ << "(" << g.n << "x" << g.h << "x" << g.w << " lanes " << g.lanes_n << "x" << g.lanes_h << "x" << g.lanes_w
         << " step " << g.step_h << "x" << g.step_w << " grid " << g.origin_h << "," << g.origin_w << " " << g.grid_h
         << "x" << g.grid_w << " vectors " << tensor.vectors << "/" << tensor.position_stride << ")";
  }
  void field(const char* name, const PositionRange& p) {
    out_ << " " << name << "=" << p.groups << "x" << p.rows << "x" << p.columns;
  }
  void field(const char* name, const PermutePlan& plan) {
    StableHash hash;
    for (const LaneCopy& copy : plan.copies) {
      hash.add(&copy.destination, sizeof copy.destination).add(&copy.first_source, 2 * sizeof copy.first_source);
    }
    for (const LaneSource& source : plan.sources) {
      hash.add(&source.offset, sizeof source.offset).add(&source.mask, sizeof source.mask).add(source.index, kLanes);
    }
    out_ << " " << name << "=" << plan.copies.size() << "*" << plan.repeats << "#" << hash.value();
  }
  void field(const char* name, const Activation& f) {
    out_ << " " << name << "=" << static_cast<int>(f.kind) << "(" << f.a << "," << f.b << ")";
  }
  void field(const char* name, const ScaleAndShift& f) { field(name, f.scale), field("shift", f.shift); }
  void field(const char* name, const Slopes& f) { field(name, f.slope); }
  template <class Place>
  void field(const char* name, const WithOperand<Place>& f) {
    out_ << " " << name << "=" << static_cast<int>(f.kind) << "/" << f.operand_first;
    field("operand", f.operand);
  }
  template <class... T>
  void field(const char* name, const std::vector<std::variant<T...>>& functions) {
    for (const auto& function : functions) std::visit([&](const auto& f) { field(name, f); }, function);
  }
  void field(const char* name, const QuantizeParameters& p) {
    out_ << " " << name << "=" << p.scale << "/" << p.zero_point;
  }
  void field(const char* name, const std::vector<Share>& shares) {
    out_ << " " << name << "=";
    for (const Share& share : shares) out_ << share.begin << "-" << share.end << ",";
  }
  void field(const char* name, const QuantizedFinish& finish) {
    const QuantizedOutput& o = finish.output;
    out_ << " " << name << "=" << static_cast<int>(o.form) << "/" << o.zero_point << "/" << o.residual_is_a
         << (finish.table ? " table" : "");
    if (finish.sum) out_ << " sum " << finish.sum->a_ratio << "," << finish.sum->b_ratio << "," << finish.sum->shift;
    field("run_bias", finish.run_bias);
    field("run_multiplier", finish.run_multiplier);
  }
  void field(const char* name, const HaloCopies& halo) {
    field(name, halo.plan);
    field("in", halo.tensor);
    out_ << " begin#" << hash_of(halo.begin) << " fill " << halo.fill;
  }
  void field(const char* name, const FloatTail& tail) {
    const FloatStretch& s = tail.stretch;
    out_ << " " << name << "=" << s.activates << s.quantizes << " scale#" << hash_of(tail.scale) << " shift#"
         << hash_of(tail.shift);
    field("x", s.x);
    field("to", s.y);
    field("residual", tail.residual);
    field("y", tail.y);
  }
  template <class T>
  void field(const char* name, const std::vector<T>& values) {
    out_ << " " << name << "=" << values.size() << "#" << hash_of(values);
  }
  template <class T>
  void field(const char* name, const std::optional<T>& value) {
    if (value) field(name, *value);
  }
  template <class T>
    requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void field(const char* name, T value) {
    if constexpr (std::is_enum_v<T>) {
      out_ << " " << name << "=" << static_cast<int>(value);
    } else {
      out_ << " " << name << "=" << +value;
    }
  }

  void write_step(const Step& step, const std::string& indent) {
    const std::unique_ptr<char, void (*)(void*)> name(
        abi::__cxa_demangle(typeid(step).name(), nullptr, nullptr, nullptr), std::free);
    out_ << indent << step.kernel << " [" << name.get() << "] op " << step.op << ", chunks " << step.chunks;
    if (step.layout != LayoutChange::kNone) out_ << ", " << layout_change_name(step.layout);
    for (const auto& [op, share] : step.other_ops) out_ << ", op " << op << " " << share;
    out_ << ":";
    // Most derived first where one is the base of another.
    (void)(is<LaneStep>(step) || is<LanePositionStep>(step) || is<PoolStep>(step) || is<TransferStep>(step) ||
           is<PermuteStep>(step) || is<FewRowsStep>(step) || is<QFewRowsStep>(step) || is<FlatStep>(step) ||
           is<FlatByteStep>(step) || is<GlobalAverageStep>(step) || is<ByteGlobalAverageStep>(step) ||
           is<AttentionStep>(step) || is<RowNormStep>(step) || is<GroupMomentsStep>(step) || is<GroupUnitsStep>(step) ||
           is<MaskStep>(step) || is<SelectTokenStep>(step) || is<RepeatStep>(step) || is<MinMaxStep>(step) ||
           is<DynamicQuantizeStep>(step) || is<DynamicScaleStep>(step));
    out_ << "\n";
    if (const auto* chain = dynamic_cast<const PositionChain*>(&step)) {
      out_ << indent << " stride " << chain->position_stride << "\n";
      write_step(*chain->first, indent + " ");
      write_step(*chain->second, indent + " ");
    }
    if (const auto* chain = dynamic_cast<const ChannelChain*>(&step)) {
      out_ << indent << " units " << chain->units_at_once << "/" << chain->unit_chunks << " fill " << chain->fill;
      field("made", chain->made);
      field("read", chain->read);
      for (const ChainPart& part : chain->parts) {
        field("positions", part.positions);
        field("first", part.first);
        field("permute", part.permute);
      }
      out_ << "\n";
      write_step(*chain->first, indent + " ");
      write_step(*chain->depthwise, indent + " ");
      if (chain->last) write_step(*chain->last, indent + " ");
    }
  }

  template <class S>
  bool is(const Step& step) {
    const auto* s = dynamic_cast<const S*>(&step);
    if (s != nullptr) fields(*s);
    return s != nullptr;
  }

#define FIELD(name) field(#name, s.name)
  void fields(const LaneStep& s) {
    FIELD(positions), FIELD(x), FIELD(y), FIELD(residual), FIELD(post), FIELD(tail), FIELD(halo), FIELD(tile);
    FIELD(rows), FIELD(rows_per_vector), FIELD(position_chunks), FIELD(unit_chunks);
    out_ << " units=" << s.units() << " multiplies=" << s.multiplies();
    (void)(is<LaneLinearStep>(s) || is<JitStep>(s));
    (void)(is<ChannelWindowStep>(s) || is<SpmmStep>(s) || is<DenseStep>(s) || is<QSpmmStep>(s) || is<QDenseStep>(s) ||
           is<FloatJitStep>(s) || is<QJitStep>(s));
    (void)is<QDepthwiseStep>(s);
  }
  void fields(const LaneLinearStep& s) {
    FIELD(blocks), FIELD(block_rows), FIELD(work_per_position);
    out_ << " clamp=" << s.clamp.lo << "," << s.clamp.hi;
  }
  void fields(const ChannelWindowStep& s) { FIELD(tap_offsets); }
  void fields(const QDepthwiseStep& s) { FIELD(finish_with); }
  void fields(const SpmmStep& s) { FIELD(chunk_base); }
  void fields(const DenseStep& s) { FIELD(offsets); }
  void fields(const QSpmmStep& s) { FIELD(chunk_base), FIELD(finish_with); }
  void fields(const QDenseStep& s) { FIELD(offsets), FIELD(finish_with); }
  void fields(const JitStep& s) {
    FIELD(row_base), FIELD(least_positions);
    out_ << " code=" << s.code->segments.size() << "/" << s.code->code_bytes;
  }
  void fields(const FloatJitStep& s) { FIELD(part_by_part); }
  void fields(const QJitStep& s) { FIELD(finishes), FIELD(finish_with); }
  void fields(const FewRowsStep& s) { FIELD(m), FIELD(x), FIELD(y), FIELD(residual), FIELD(post); }
  void fields(const QFewRowsStep& s) {
    FIELD(m), FIELD(x), FIELD(y), FIELD(residual), FIELD(residual_stride), FIELD(post), FIELD(finish_with);
  }

  void fields(const LanePositionStep& s) {
    FIELD(positions), FIELD(vectors), FIELD(x), FIELD(y);
    (void)(is<LaneElementwiseStep>(s) || is<LaneQuantizeStep>(s) || is<LaneByteBinaryStep>(s) ||
           is<LaneByteCopyStep>(s) || is<LaneNormStep>(s) || is<LaneGroupNormStep>(s));
  }
  void fields(const LaneElementwiseStep& s) { FIELD(functions); }
  void fields(const LaneQuantizeStep& s) { FIELD(parameters), FIELD(dequantize), FIELD(channels); }
  void fields(const LaneByteBinaryStep& s) { FIELD(multiply), FIELD(second); }
  void fields(const LaneByteCopyStep& s) { FIELD(x_first), FIELD(y_first), FIELD(channels); }
  void fields(const LaneNormStep& s) { field("scale", s.parameters.scale), field("shift", s.parameters.shift); }
  void fields(const LaneGroupNormStep& s) {
    FIELD(groups), FIELD(units), FIELD(post);
    field("scale", s.parameters.scale), field("shift", s.parameters.shift);
  }

  void fields(const PoolStep& s) {
    FIELD(positions), FIELD(vectors), FIELD(x), FIELD(y), FIELD(taps), FIELD(rows_covered), FIELD(columns_covered);
  }
  void fields(const TransferStep& s) {
    FIELD(tensor), FIELD(lanes);
    out_ << " units=" << s.units() << " rows=" << s.plan.rows() << "x" << s.plan.segments();
    (void)(is<ImportStep>(s) || is<ByteImportStep>(s));
  }
  void fields(const ImportStep& s) { FIELD(fill); }
  void fields(const ByteImportStep& s) { FIELD(fill), FIELD(quantization), FIELD(sign); }
  void fields(const PermuteStep& s) {
    FIELD(plan), FIELD(vectors), FIELD(x), FIELD(y), FIELD(fill), FIELD(quantization);
  }
  void fields(const FlatStep& s) { FIELD(count), FIELD(x), FIELD(y), FIELD(functions); }
  void fields(const FlatByteStep& s) { FIELD(what), FIELD(count), FIELD(x), FIELD(y), FIELD(parameters), FIELD(sign); }
  void fields(const GlobalAverageStep& s) {
    FIELD(x), FIELD(y), FIELD(channels), FIELD(offsets), FIELD(masks);
    if (s.from_bytes) field("scratch", s.from_bytes->scratch);
  }
  void fields(const ByteGlobalAverageStep& s) {
    FIELD(x), FIELD(y), FIELD(channels), FIELD(offsets), FIELD(masks), FIELD(multiplier);
  }
  void fields(const AttentionStep& s) {
    FIELD(sequences), FIELD(heads), FIELD(queries), FIELD(keys), FIELD(depth), FIELD(value_depth), FIELD(scale);
    FIELD(tile), FIELD(q), FIELD(k), FIELD(v), FIELD(y), FIELD(scratch);
    if (s.mask) field("mask", s.mask->ref), FIELD(mask_replaces);
  }
  void fields(const RowNormStep& s) { FIELD(tokens), FIELD(x), FIELD(y); }
  void fields(const GroupMomentsStep& s) {
    FIELD(x), FIELD(offsets), FIELD(masks);
    field("blocks", s.parts.blocks), field("moments", s.parts.moments);
  }
  void fields(const GroupUnitsStep& s) { FIELD(epsilon), FIELD(units); }
  void fields(const MaskStep& s) { FIELD(kind), FIELD(count), FIELD(keys), FIELD(masked), FIELD(x), FIELD(y); }
  void fields(const SelectTokenStep& s) {
    FIELD(sequences), FIELD(tokens), FIELD(index), FIELD(channels), FIELD(lanes), FIELD(rows), FIELD(y);
  }
  void fields(const RepeatStep& s) { FIELD(x), FIELD(y); }
  void fields(const MinMaxStep& s) { FIELD(count), FIELD(x), FIELD(partial); }
  void fields(const DynamicQuantizeStep& s) { FIELD(count), FIELD(x), FIELD(partial), FIELD(y), FIELD(quantization); }
  void fields(const DynamicScaleStep& s) { FIELD(rows), FIELD(quantization), FIELD(run_multiplier), FIELD(run_bias); }
#undef FIELD

  std::ostringstream out_;
  const Program* program_ = nullptr;
};

// Of every region of the graph as it is claimed: the kernels and packed bytes of its Ops, and its plans for the assumed
// sizes and so many workers.
std::string plans(const py::dict& description, int isa, std::optional<double> min_sparsity,
                  const std::vector<int>& workers) {
  const DescribedGraph described = to_graph(description);
  const ClaimOptions options = to_options(isa, min_sparsity, true, {});
  std::ostringstream out;
  const py::gil_scoped_release release;
  ClaimResult claimed = claim(described.graph, options);
  std::vector<std::vector<Shape>> assumed;
  for (const RegionOps& region : claimed.ops) assumed.push_back(region.assumed);
  const Lowering lowering = Region::lower(std::move(claimed.ops), {options.isa, options.jit});
  for (const Lowering::Refusal& refusal : lowering.refusals) {
    out << "refused: region " << refusal.region << ", node " << refusal.node << ": " << refusal.reason << "\n";
  }
  for (size_t r = 0; r < lowering.regions.size(); ++r) {
    if (!lowering.regions[r]) continue;
    const Region& region = *lowering.regions[r];
    out << "region " << r << "\n";
    for (size_t op = 0; op < region.reports().size(); ++op) {
      const OpReport& report = region.reports()[op];
      out << " op " << op << " " << region.ops().ops[op].name << ": " << report.kernel << ", bytes "
          << report.packed_bytes << ", in " << report.computed_with << "\n";
    }
    if (assumed[r].empty()) continue;
    for (int count : workers) {
      try {
        out << PlanText(*region.plan_for(region.ops().outputs, assumed[r], count)).text();
      } catch (const std::exception& error) {
        out << "no plan of " << count << " workers: " << error.what() << "\n";
      }
    }
  }
  return out.str();
}

}  // namespace

void bind_plans(py::module_& module) {
  module.def("plans", &plans, py::arg("graph"), py::arg("isa"), py::arg("min_sparsity") = py::none(),
             py::arg("workers") = std::vector<int>{1});
}
