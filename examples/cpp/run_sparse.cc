// Runs a model on SparseCPUProvider from C++: registers the plugin library, selects its device, runs once.
//
//   run_sparse LIBRARY MODEL [KEY=VALUE ...]
//
// LIBRARY: libonnxruntime_ep_sparsecpu.so, as printed by
//   python -c "import onnxruntime_ep_sparsecpu as e; print(e.get_library_path())"
// KEY=VALUE: provider options, for example min_sparsity=0. Inputs are float tensors filled with ones; symbolic
// axes count as 1. Needs ONNX Runtime 1.23 or newer.
#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

constexpr char kProvider[] = "SparseCPUProvider";

std::vector<Ort::ConstEpDevice> sparse_devices(const Ort::Env& env) {
  std::vector<Ort::ConstEpDevice> devices;
  for (const Ort::ConstEpDevice& device : env.GetEpDevices()) {
    if (std::string(device.EpName()) == kProvider) devices.push_back(device);
  }
  return devices;
}

std::unordered_map<std::string, std::string> parse_options(int count, char** texts) {
  std::unordered_map<std::string, std::string> options;
  for (int i = 0; i < count; ++i) {
    const std::string text = texts[i];
    const size_t equals = text.find('=');
    if (equals == std::string::npos) throw std::runtime_error(text + ": expected KEY=VALUE");
    options[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return options;
}

// All inputs as float tensors of ones. `storage` owns the elements.
std::vector<Ort::Value> make_inputs(const Ort::Session& session, std::vector<std::vector<float>>* storage) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
  std::vector<Ort::Value> inputs;
  for (size_t i = 0; i < session.GetInputCount(); ++i) {
    const Ort::TypeInfo type = session.GetInputTypeInfo(i);
    std::vector<int64_t> shape = type.GetTensorTypeAndShapeInfo().GetShape();
    size_t elements = 1;
    for (int64_t& size : shape) {
      if (size < 0) size = 1;
      elements *= static_cast<size_t>(size);
    }
    std::vector<float>& values = storage->emplace_back(elements, 1.0f);
    inputs.push_back(Ort::Value::CreateTensor<float>(memory, values.data(), values.size(), shape.data(), shape.size()));
  }
  return inputs;
}

std::vector<const char*> pointers(const std::vector<std::string>& names) {
  std::vector<const char*> result;
  for (const std::string& name : names) result.push_back(name.c_str());
  return result;
}

void run(int argc, char** argv) {
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "run_sparse");
  env.RegisterExecutionProviderLibrary(kProvider, argv[1]);
  const std::vector<Ort::ConstEpDevice> devices = sparse_devices(env);
  if (devices.empty()) throw std::runtime_error("the library offers no device");

  Ort::SessionOptions options;
  options.AppendExecutionProvider_V2(env, devices, parse_options(argc - 3, argv + 3));
  Ort::Session session(env, argv[2], options);

  std::vector<std::vector<float>> storage;
  std::vector<Ort::Value> inputs = make_inputs(session, &storage);
  const std::vector<std::string> input_names = session.GetInputNames(), output_names = session.GetOutputNames();
  const std::vector<Ort::Value> outputs =
      session.Run(Ort::RunOptions(), pointers(input_names).data(), inputs.data(), inputs.size(),
                  pointers(output_names).data(), output_names.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::cout << output_names[i] << ":";
    for (int64_t size : outputs[i].GetTensorTypeAndShapeInfo().GetShape()) std::cout << ' ' << size;
    std::cout << ", first value " << outputs[i].GetTensorData<float>()[0] << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: run_sparse LIBRARY MODEL [KEY=VALUE ...]\n";
    return 2;
  }
  try {
    run(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "run_sparse: " << error.what() << '\n';
    return 1;
  }
}
