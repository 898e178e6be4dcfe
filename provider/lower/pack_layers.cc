#include "lower/pack_layers.h"

#include <map>

#include "base/threads.h"
#include "lower/weight_store.h"

namespace sparsecpu {
namespace {

// What is to be packed, and for which layers.
struct Job {
  const LayerSource* source = nullptr;
  Digest content;
  std::vector<size_t> layers;
  LayerPack pack;
  std::string failure;
};

std::vector<Digest> contents_of(const std::vector<LayerSource>& layers) {
  std::map<std::pair<const void*, size_t>, Digest> stored;  // a weight that several layers use is read once
  for (const LayerSource& layer : layers) stored[layer.stored()];
  std::vector<decltype(stored)::iterator> entries;
  for (auto entry = stored.begin(); entry != stored.end(); ++entry) entries.push_back(entry);
  for_each_on_threads(entries.size(), [&](size_t i) {
    const auto& [data, bytes] = entries[i]->first;
    entries[i]->second = ContentHash().add_bytes(data, bytes).digest();
  });
  std::vector<Digest> contents;
  for (const LayerSource& layer : layers) contents.push_back(layer.content(stored.at(layer.stored())));
  return contents;
}

void pack(Job& job, Target target) {
  try {
    LayerSource source = *job.source;
    source.target = target;
    job.pack = pack_layer(source);
  } catch (const std::exception& error) {
    job.failure = error.what();
  }
}

void place(std::vector<Job>& jobs) {
  std::vector<PackedJit*> code;
  for (Job& job : jobs) {
    if (PackedJit* packed = job.pack.code()) code.push_back(packed);
  }
  if (code.empty()) return;
  const auto memory = std::make_shared<CodeMemory>();
  const bool placed = place_code(code, memory.get());
  for (Job& job : jobs) {
    if (job.pack.code() == nullptr) continue;
    if (placed) {
      job.pack.memory = memory;
    } else {
      pack(job, {job.source->target.isa, /*jit=*/false});
    }
  }
}

}  // namespace

PackedLayers pack_layers(const std::vector<LayerSource>& layers) {
  PackedLayers result;
  result.packs.resize(layers.size());
  result.failures.resize(layers.size());
  result.is_first.resize(layers.size());
  const std::vector<Digest> contents = contents_of(layers);
  std::map<Digest, std::vector<size_t>> users;
  for (size_t i = 0; i < layers.size(); ++i) {
    result.is_first[i] = users[contents[i]].empty();
    users[contents[i]].push_back(i);
  }
  std::vector<Job> jobs;
  WeightStore& store = WeightStore::shared();
  for (auto& [content, indices] : users) {
    if (const auto held = store.find(content)) {
      for (size_t i : indices) result.packs[i] = held;
    } else {
      jobs.push_back({&layers[indices.front()], content, std::move(indices), {}, ""});
    }
  }
  for_each_on_threads(jobs.size(), [&](size_t i) { pack(jobs[i], jobs[i].source->target); });
  place(jobs);
  for (Job& job : jobs) {
    if (job.failure.empty()) {
      const auto packed = store.add(job.content, std::make_shared<const LayerPack>(std::move(job.pack)));
      for (size_t i : job.layers) result.packs[i] = packed;
      ++result.made;
    } else {
      for (size_t i : job.layers) result.failures[i] = job.failure;
    }
  }
  return result;
}

}  // namespace sparsecpu
