// Compares provider/abi/ort_abi.h with ONNX Runtime's official header, slot by slot: offset and signature.
// Compiled, never run: g++ -std=c++20 -fsyntax-only -I provider -I $ONNXRUNTIME_INCLUDE_DIR conformance.cc
#include <onnxruntime_c_api.h>

#define SPARSECPU_ABI_CONFORMANCE
#include <cstddef>
#include <type_traits>

#include "abi/ort_abi.h"

namespace own = sparsecpu::ort;

// The official type for one of ours, through pointers and function signatures.
template <class T>
struct Official {
  using type = T;
};
#define SAME(Name)                   \
  template <>                        \
  struct Official<own::Name> {       \
    using type = ::Name;             \
  };                                 \
  template <>                        \
  struct Official<const own::Name> { \
    using type = const ::Name;       \
  };
SAME(OrtApi)
SAME(OrtEpApi)
SAME(OrtEp)
SAME(OrtEpFactory)
SAME(OrtNodeComputeInfo)
SAME(OrtNodeFusionOptions)
template <class T>
struct Official<T*> {
  using type = typename Official<T>::type*;
};
template <class T>
struct Official<T* const> {
  using type = typename Official<T>::type* const;
};
template <class R, class... A>
struct Official<R (*)(A...)> {
  using type = typename Official<R>::type (*)(typename Official<A>::type...);
};

// The official declarations are noexcept; a table of C functions is called the same either way.
template <class F>
struct WithoutNoexcept {
  using type = F;
};
template <class R, class... A>
struct WithoutNoexcept<R (*)(A...) noexcept> {
  using type = R (*)(A...);
};

#define CHECK(Struct, Member)                                                                                         \
  static_assert(offsetof(::Struct, Member) == offsetof(own::Struct, Member), #Struct "::" #Member " lies elsewhere"); \
  static_assert(std::is_same_v<typename WithoutNoexcept<decltype(::Struct::Member)>::type,                            \
                               typename Official<decltype(own::Struct::Member)>::type>,                               \
                #Struct "::" #Member " has another type");
// Later versions append members, so an official struct may be larger than the one declared for API 23.
#define CHECK_SIZE(Struct)                                                                      \
  static_assert(ORT_API_VERSION != own::kApiVersion || sizeof(::Struct) == sizeof(own::Struct), \
                #Struct " has another size");                                                   \
  static_assert(offsetof(::Struct, ort_version_supported) == 0, #Struct " starts with something else");

CHECK(OrtApi, CreateStatus)
CHECK(OrtApi, GetErrorCode)
CHECK(OrtApi, GetErrorMessage)
CHECK(OrtApi, GetTensorMutableData)
CHECK(OrtApi, CastTypeInfoToTensorInfo)
CHECK(OrtApi, GetTensorElementType)
CHECK(OrtApi, GetDimensionsCount)
CHECK(OrtApi, GetDimensions)
CHECK(OrtApi, GetSymbolicDimensions)
CHECK(OrtApi, GetTensorTypeAndShape)
CHECK(OrtApi, KernelContext_GetInputCount)
CHECK(OrtApi, KernelContext_GetOutputCount)
CHECK(OrtApi, KernelContext_GetInput)
CHECK(OrtApi, KernelContext_GetOutput)
CHECK(OrtApi, ReleaseStatus)
CHECK(OrtApi, ReleaseTensorTypeAndShapeInfo)
CHECK(OrtApi, Logger_LogMessage)
CHECK(OrtApi, Logger_GetLoggingSeverityLevel)
CHECK(OrtApi, ReadOpAttr)
CHECK(OrtApi, KernelContext_ParallelFor)
CHECK(OrtApi, GetValueInfoName)
CHECK(OrtApi, GetValueInfoTypeInfo)
CHECK(OrtApi, GetKeyValuePairs)
CHECK(OrtApi, ReleaseKeyValuePairs)
CHECK(OrtApi, HardwareDevice_Type)
CHECK(OrtApi, GetEpApi)
CHECK(OrtApi, GetTensorSizeInBytes)
CHECK(OrtApi, ValueInfo_GetInitializerValue)
CHECK(OrtApi, ValueInfo_IsGraphOutput)
CHECK(OrtApi, ValueInfo_IsConstantInitializer)
CHECK(OrtApi, ValueInfo_IsFromOuterScope)
CHECK(OrtApi, Graph_GetName)
CHECK(OrtApi, Graph_GetModelPath)
CHECK(OrtApi, Graph_GetNumInputs)
CHECK(OrtApi, Graph_GetInputs)
CHECK(OrtApi, Graph_GetNumOutputs)
CHECK(OrtApi, Graph_GetOutputs)
CHECK(OrtApi, Graph_GetNumNodes)
CHECK(OrtApi, Graph_GetNodes)
CHECK(OrtApi, Graph_GetParentNode)
CHECK(OrtApi, Node_GetId)
CHECK(OrtApi, Node_GetName)
CHECK(OrtApi, Node_GetOperatorType)
CHECK(OrtApi, Node_GetDomain)
CHECK(OrtApi, Node_GetSinceVersion)
CHECK(OrtApi, Node_GetNumInputs)
CHECK(OrtApi, Node_GetInputs)
CHECK(OrtApi, Node_GetNumOutputs)
CHECK(OrtApi, Node_GetOutputs)
CHECK(OrtApi, Node_GetNumImplicitInputs)
CHECK(OrtApi, Node_GetImplicitInputs)
CHECK(OrtApi, Node_GetNumAttributes)
CHECK(OrtApi, Node_GetAttributes)
CHECK(OrtApi, OpAttr_GetType)
CHECK(OrtApi, OpAttr_GetName)
CHECK(OrtApi, Node_GetNumSubgraphs)
CHECK(OrtApi, Node_GetEpName)
CHECK(OrtApi, GetTensorData)
CHECK(OrtApi, GetSessionOptionsConfigEntries)

CHECK(OrtEpApi, CreateEpDevice)
CHECK(OrtEpApi, ReleaseEpDevice)
CHECK(OrtEpApi, EpGraphSupportInfo_AddNodesToFuse)
CHECK(OrtEpApi, NodeComputeContext_NodeName)

CHECK(OrtNodeComputeInfo, CreateState)
CHECK(OrtNodeComputeInfo, Compute)
CHECK(OrtNodeComputeInfo, ReleaseState)
CHECK_SIZE(OrtNodeComputeInfo)

CHECK(OrtEp, GetName)
CHECK(OrtEp, GetCapability)
CHECK(OrtEp, Compile)
CHECK(OrtEp, ReleaseNodeComputeInfos)
CHECK(OrtEp, GetPreferredDataLayout)
CHECK(OrtEp, ShouldConvertDataLayoutForOp)
CHECK(OrtEp, SetDynamicOptions)
CHECK(OrtEp, OnRunStart)
CHECK(OrtEp, OnRunEnd)
CHECK(OrtEp, CreateAllocator)
CHECK(OrtEp, CreateSyncStreamForDevice)
CHECK(OrtEp, GetCompiledModelCompatibilityInfo)
CHECK_SIZE(OrtEp)

CHECK(OrtEpFactory, GetName)
CHECK(OrtEpFactory, GetVendor)
CHECK(OrtEpFactory, GetSupportedDevices)
CHECK(OrtEpFactory, CreateEp)
CHECK(OrtEpFactory, ReleaseEp)
CHECK(OrtEpFactory, GetVendorId)
CHECK(OrtEpFactory, GetVersion)
CHECK(OrtEpFactory, ValidateCompiledModelCompatibilityInfo)
CHECK(OrtEpFactory, CreateAllocator)
CHECK(OrtEpFactory, ReleaseAllocator)
CHECK(OrtEpFactory, CreateDataTransfer)
CHECK(OrtEpFactory, IsStreamAware)
CHECK(OrtEpFactory, CreateSyncStreamForDevice)
CHECK_SIZE(OrtEpFactory)

CHECK(OrtApiBase, GetApi)
CHECK(OrtApiBase, GetVersionString)
CHECK(OrtNodeFusionOptions, drop_constant_initializers)
CHECK_SIZE(OrtNodeFusionOptions)
