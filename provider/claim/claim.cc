#include "claim/claim.h"

#include <algorithm>

#include "claim/atoms.h"
#include "claim/neighbours.h"
#include "claim/reasons.h"
#include "claim/region_ops.h"
#include "claim/regions.h"
#include "claim/select.h"
#include "facts/assume.h"
#include "price/arithmetic.h"
#include "price/form_loss.h"
#include "recognise/recognise.h"

namespace sparsecpu {
namespace {

double needed_sparsity(const NodeCost& cost) {
  if (!cost.linear || !cost.known || cost.form == LayerForm::kDepthwise) return -1;
  if (cost.dense_wins) return 0;
  return cost.group_density >= 0 ? 1 - cost.needed_density : cost.needed_sparsity;
}

// Sizes beside the assumed ones with which a claim must not lose either.
std::vector<OpenSizes> other_sizes(const OpenAxes& open) {
  const OpenSizes usual;
  std::vector<OpenSizes> sizes;
  for (const int64_t rows : {1, 2, 4, 8, 16}) {
    if (open.tokens) sizes.push_back({usual.batch, usual.pixels, rows});
    if (open.batch && rows > 1) sizes.push_back({rows, usual.pixels, open.tokens ? 1 : usual.tokens});
  }
  if (open.image || open.features) sizes.push_back({usual.batch, usual.pixels / 2, usual.tokens});
  if (open.features && !open.image) sizes.push_back({usual.batch, usual.pixels / 32, usual.tokens});
  return sizes;
}

// The facts of a recognised graph with other sizes of its open axes, which are added to `open`.
Table<ValueFacts> facts_with(const Graph& graph, const Table<Recognised>& nodes, const SymbolSizes& given,
                             const OpenSizes& sizes, OpenAxes* open) {
  Table<ValueFacts> facts(graph.values.size());
  AssumedShapes shapes(graph, given, &facts, sizes);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (int input : graph.nodes[i].inputs) shapes.ensure(input);
    (void)shapes.propagate(graph.nodes[i], nodes[i].ops);  // what cannot work has been declined
  }
  *open = shapes.open();
  return facts;
}

bool is_over_tokens(const Recognised& node) {
  return std::any_of(node.ops.begin(), node.ops.end(), [](const Op& op) { return op.own_axes() == Axes::kTokens; });
}

int64_t dense_weights(const RecognisedGraph& recognised) {
  int64_t bytes = 0;
  for (const Recognised& node : recognised.nodes) {
    for (const Op& op : node.ops) bytes += dense_weight_bytes(op);
  }
  return bytes;
}

class Claimer {
 public:
  Claimer(const Graph& graph, const RecognisedGraph& recognised, const ClaimOptions& options, Refusals refused)
      : graph_(graph),
        options_(options),
        recognised_(recognised),
        refused_(std::move(refused)),
        target_{options.isa, options.jit, dense_weights(recognised) <= kCachedWeights},
        pricing_{graph, {}, {}, {}, {}, {}},
        group_(graph.nodes.size(), -1) {
    result_.assumed = recognised_.assumed;
    result_.decisions.resize(graph.nodes.size());
  }

  ClaimResult run() {
    price();
    choose_forced();
    if (options_.neighbours)
      choose_regions();
    else
      choose_single_nodes();
    // What a group that is dropped runs on the CPU provider can make another one slower: nodes that follow its layout.
    while (drop_groups() || drop_losers() || drop_left_behind() || take_in_limits()) {
    }
    number_regions();
    give_reasons();
    return std::move(result_);
  }

 private:
  void price() {
    const size_t count = graph_.nodes.size();
    set_prices(recognised_.facts, &pricing_);
    pricing_.candidate.assign(count, false);
    pricing_.forced.assign(count, false);
    pricing_.goes_with.assign(count, -1);
    const Check whole = check_graph(graph_);
    for (size_t i = 0; i < count; ++i) {
      const Recognised& node = recognised_.nodes[i];
      NodeDecision& decision = result_.decisions[i];
      decision.pattern = node.pattern;
      if (!node.ok()) {
        decision.reason = node.reason;
      } else if (!whole) {
        decision.reason = whole.why();
      } else if (Check place = check_place(graph_, graph_.nodes[i]); !place) {
        decision.reason = place.why();
      }
      if (const auto refused = refused_.find(static_cast<int>(i)); refused != refused_.end()) {
        decision.reason = refused->second;
      }
      const NodeCost& cost = pricing_.nodes[i];
      decision.sparsity = cost.sparsity;
      decision.group_density = cost.group_density;
      decision.dense_bytes = cost.dense_bytes;
      decision.cpu_us = cost.fused_cpu_us;
      decision.here_us = cost.fused_here_us;
      decision.layer = cost.situation;
      decision.multiply_adds =
          cost.multiply_adds > 0 ? cost.multiply_adds : multiply_adds(graph_, recognised_.facts, graph_.nodes[i]);
      decision.needed_sparsity = needed_sparsity(cost);
      if (!cost.finite && decision.reason.empty()) {
        decision.reason =
            "its weights or scales make an infinity or NaN: what becomes of a zero, the CPU provider decides";
      }
      if (node.ok() && !cost.known && !options_.min_sparsity && decision.reason.empty()) {
        decision.reason = "its shape is unknown, so no time can be predicted (min_sparsity claims it regardless)";
      }
      pricing_.candidate[i] = decision.reason.empty();
    }
    const std::vector<bool> alone = pricing_.candidate;
    for (size_t i = 0; i < count; ++i) {
      if (!alone[i]) continue;
      pricing_.goes_with[i] = goes_with(graph_, graph_.nodes[i]);
      const Check separable = check_separable(graph_, alone, graph_.nodes[i]);
      if (!separable) result_.decisions[i].reason = separable.why();
      pricing_.candidate[i] = static_cast<bool>(separable);
    }
  }

  void set_prices(const Table<ValueFacts>& facts, Pricing* pricing) {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      pricing->nodes.push_back(node_cost(graph_, recognised_.nodes[i], facts, static_cast<int>(i), target_, &counts_));
    }
    const CpuLayouts layouts = cpu_layouts(graph_, facts);
    for (size_t i = 0; i < layouts.losses.size(); ++i) pricing->nodes[i].layout = layouts.losses[i];
    price_form_losses(graph_, recognised_.nodes, facts, options_.isa, &pricing->nodes);
    for (size_t v = 0; v < graph_.values.size(); ++v) {
      pricing->values.push_back(edge_cost(graph_, facts, layouts, static_cast<int>(v), options_.isa));
    }
  }

  // min_sparsity takes linear layers by their zeros; 0 takes their neighbours too, whatever they cost.
  void choose_forced() {
    if (!options_.min_sparsity) return;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const NodeCost& cost = pricing_.nodes[i];
      const bool enough = *options_.min_sparsity <= 0 || cost.sparsity >= *options_.min_sparsity;
      const int other = pricing_.goes_with[i];
      pricing_.forced[i] = pricing_.candidate[i] && (cost.linear ? enough : *options_.min_sparsity <= 0) &&
                           (other < 0 || pricing_.forced[other]);
    }
  }

  void choose_single_nodes() {
    int groups = 0;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (pricing_.candidate[i] && pricing_.nodes[i].linear) group_[i] = groups++;
    }
  }

  // The best choice as if everything claimed were one region; then the regions that are possible, each
  // trimmed to what pays with the edges that it really has.
  void choose_regions() {
    std::vector<bool> claimed = select_nodes(pricing_, pricing_.candidate, std::vector<int>(group_.size(), 0));
    group_ = form_groups(graph_, claimed, std::vector<int>(group_.size(), 0));
    constexpr int kRounds = 4;  // trimming rarely needs a second one
    for (int round = 0; round < kRounds; ++round) {
      std::vector<bool> kept = select_nodes(pricing_, claimed, group_);
      if (kept == claimed) break;
      claimed = std::move(kept);
      group_ = form_groups(graph_, claimed, group_);
    }
  }

  // Groups that only move data, and groups that do not gain; whether there were any. Fewer groups cannot create a
  // cycle.
  bool drop_groups() {
    bool dropped = false;
    const std::vector<GroupPrice> prices = price_groups(pricing_, group_);
    std::vector<bool> linear(prices.size(), false), reason_to_run(prices.size(), false), forced(prices.size(), false);
    for (size_t i = 0; i < group_.size(); ++i) {
      if (group_[i] < 0) continue;
      linear[group_[i]] = linear[group_[i]] || pricing_.nodes[i].linear;
      reason_to_run[group_[i]] = reason_to_run[group_[i]] || pricing_.nodes[i].wins();
      forced[group_[i]] = forced[group_[i]] || (pricing_.forced[i] && pricing_.nodes[i].linear);
    }
    for (size_t i = 0; i < group_.size(); ++i) {
      const int g = group_[i];
      if (g < 0 || forced[g] || (linear[g] && reason_to_run[g] && gains(prices[g]))) continue;
      if (linear[g] && reason_to_run[g]) {
        result_.decisions[i].reason = edge_reason(prices[g]);
      }
      group_[i] = -1;
      dropped = true;
    }
    return dropped;
  }

  static bool gains(const GroupPrice& price) { return price.gain_us() > kMargin * price.cpu_us; }

  // Groups that would be slower with other sizes of the axes that the model leaves open; whether there were any. Few
  // tokens mean nothing to convolutions, and sizes that do not fit the model nothing at all.
  bool drop_losers() {
    bool dropped = false;
    OpenAxes open;
    facts_with(graph_, recognised_.nodes, options_.assume, {}, &open);
    for (const OpenSizes& sizes : other_sizes(open)) {
      if (group_.empty()) break;
      const auto groups = static_cast<size_t>(1 + *std::max_element(group_.begin(), group_.end()));
      Pricing pricing{graph_, {}, {}, {}, {}, {}};
      set_prices(facts_with(graph_, recognised_.nodes, options_.assume, sizes, &open), &pricing);
      std::vector<bool> asked(groups, sizes.tokens == OpenSizes{}.tokens), excused(groups, false);
      for (size_t i = 0; i < group_.size(); ++i) {
        if (group_[i] < 0) continue;
        if (is_over_tokens(recognised_.nodes[i])) asked[group_[i]] = true;
        if (pricing_.forced[i] || (pricing_.nodes[i].known && !pricing.nodes[i].known)) excused[group_[i]] = true;
      }
      const std::vector<GroupPrice> prices = price_groups(pricing, group_);
      for (size_t i = 0; i < group_.size(); ++i) {
        const int g = group_[i];
        if (g < 0 || !asked[g] || excused[g] || gains(prices[g])) continue;
        result_.decisions[i].reason = size_reason(sizes, prices[g]);
        group_[i] = -1;
        dropped = true;
      }
    }
    return dropped;
  }

  // Nodes without the one that they go with. What enters them does not come from their group, so it stays convex.
  bool drop_left_behind() {
    bool dropped = false;
    for (size_t i = 0; i < group_.size(); ++i) {
      const int other = pricing_.goes_with[i];
      if (group_[i] < 0 || other < 0 || group_[other] >= 0) continue;
      result_.decisions[i].reason = left_behind_reason(graph_, graph_.nodes[other]);
      group_[i] = -1;
      dropped = true;
    }
    return dropped;
  }

  // A Relu or Clip whose readers have become one node of which onnxruntime does not know that they are several. Nothing
  // of their group is before it, since it is before them.
  bool take_in_limits() {
    bool taken = false;
    for (size_t i = 0; i < group_.size(); ++i) {
      if (group_[i] >= 0 || !pricing_.candidate[i]) continue;
      const int product = product_limited_by(graph_, graph_.nodes[i]);
      if (product < 0 || group_[product] >= 0) continue;
      const Value& value = graph_.values[graph_.nodes[i].outputs[0]];
      const int group = value.consumers.empty() ? -1 : group_[value.consumers[0]];
      const bool is_one = std::all_of(value.consumers.begin(), value.consumers.end(),
                                      [&](int reader) { return group_[reader] == group; });
      if (group < 0 || value.consumers.size() < 2 || !is_one) continue;
      group_[i] = group;
      taken = true;
    }
    return taken;
  }

  void number_regions() {
    std::vector<int> number(group_.size(), -1);
    for (size_t i = 0; i < group_.size(); ++i) {
      if (group_[i] < 0) continue;
      int& region = number[group_[i]];
      if (region < 0) {
        region = static_cast<int>(result_.regions.size());
        result_.regions.emplace_back();
      }
      result_.regions[region].push_back(static_cast<int>(i));
      result_.decisions[i].region = region;
    }
  }

  void give_reasons() {
    for (size_t i = 0; i < group_.size(); ++i) {
      NodeDecision& decision = result_.decisions[i];
      const NodeCost& cost = pricing_.nodes[i];
      if (decision.region >= 0)
        decision.reason = claimed_reason(cost, pricing_.forced[i]);
      else if (decision.reason.empty() && cost.linear)
        decision.reason = linear_reason(cost, options_.min_sparsity);
      else if (decision.reason.empty() && !options_.neighbours)
        decision.reason = "neighbours is off: only Conv, MatMul and Gemm are claimed";
      else if (decision.reason.empty())
        decision.reason = neighbour_reason(graph_, group_, i);
    }
  }

  const Graph& graph_;
  const ClaimOptions& options_;
  const RecognisedGraph& recognised_;
  const Refusals refused_;
  const Target target_;
  WeightCounts counts_;
  Pricing pricing_;
  std::vector<int> group_;  // per node, -1: on the CPU provider
  ClaimResult result_;
};

// Decisions on atoms, for their nodes: the unit's main node has the figures, the others refer to it.
ClaimResult spread_over_nodes(const Graph& graph, const Atoms& atoms, ClaimResult taken) {
  ClaimResult result;
  result.assumed = std::move(taken.assumed);
  result.decisions.resize(graph.nodes.size());
  result.regions.resize(taken.regions.size());
  for (size_t atom = 0; atom < atoms.members.size(); ++atom) {
    const NodeDecision& decision = taken.decisions[atom];
    for (int member : atoms.members[atom]) {
      NodeDecision& own = result.decisions[member];
      if (member == atoms.main[atom]) {
        own = decision;
      } else {
        own.region = decision.region;
        own.pattern = decision.pattern;
        own.reason = "it goes with " + graph.nodes[atoms.main[atom]].op_type + " '" +
                     graph.nodes[atoms.main[atom]].name + "': " + decision.reason;
      }
      own.unit = atoms.main[atom];
      if (decision.region >= 0) result.regions[decision.region].push_back(member);
    }
  }
  for (std::vector<int>& region : result.regions) std::sort(region.begin(), region.end());
  std::sort(result.regions.begin(), result.regions.end());
  for (size_t r = 0; r < result.regions.size(); ++r) {
    for (int node : result.regions[r]) result.decisions[node].region = static_cast<int>(r);
  }
  return result;
}

std::vector<RegionOps> ops_of_regions(const Atoms& atoms, const ClaimResult& result) {
  std::vector<std::vector<int>> members(result.regions.size());
  for (size_t atom = 0; atom < atoms.main.size(); ++atom) {
    const int region = result.decisions[atoms.main[atom]].region;
    if (region >= 0) members[region].push_back(static_cast<int>(atom));
  }
  std::vector<RegionOps> ops;
  for (const std::vector<int>& region : members) ops.push_back(region_ops(atoms, region));
  return ops;
}

// Of the atoms that these nodes are part of.
Refusals refused_atoms(const Atoms& atoms, const Refusals& refused) {
  Refusals result;
  for (size_t atom = 0; atom < atoms.members.size(); ++atom) {
    for (int member : atoms.members[atom]) {
      if (const auto found = refused.find(member); found != refused.end())
        result.emplace(static_cast<int>(atom), found->second);
    }
  }
  return result;
}

}  // namespace

ClaimResult claim(const Graph& graph, const ClaimOptions& options, const Refusals& refused) {
  const Atoms atoms = contract_units(graph, recognise_graph(graph, options.assume));
  ClaimResult taken = Claimer(atoms.graph, atoms.recognised, options, refused_atoms(atoms, refused)).run();
  // On the graph of atoms the graph of nodes has been contracted already: what is acyclic there is acyclic here.
  ClaimResult result = spread_over_nodes(graph, atoms, std::move(taken));
  result.ops = ops_of_regions(atoms, result);
  return result;
}

}  // namespace sparsecpu
