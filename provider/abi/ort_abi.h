// The part of ONNX Runtime's C API that this provider uses, declared here so that the build needs no ORT
// header or library. API version 23: the first with plugin providers; its tables are only ever appended to,
// so one library runs on every later version. Slot numbers and layouts are those of onnxruntime_c_api.h and
// onnxruntime_ep_c_api.h 1.23; tests/abi/conformance.cc compares them with the official header.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sparsecpu::ort {

constexpr uint32_t kApiVersion = 23;

// A slot of a table that is not used here.
using Slot = void (*)();

#ifdef SPARSECPU_ABI_CONFORMANCE  // the official header is included: its types, so that signatures compare equal
using ::ONNXTensorElementDataType;
using ::OrtAllocator;
using ::OrtCompiledModelCompatibility;
using ::OrtDataTransferImpl;
using ::OrtEpDataLayout;
using ::OrtEpDevice;
using ::OrtEpGraphSupportInfo;
using ::OrtErrorCode;
using ::OrtGraph;
using ::OrtHardwareDevice;
using ::OrtHardwareDeviceType;
using ::OrtKernelContext;
using ::OrtKeyValuePairs;
using ::OrtLogger;
using ::OrtLoggingLevel;
using ::OrtMemoryDevice;
using ::OrtMemoryInfo;
using ::OrtNode;
using ::OrtNodeComputeContext;
using ::OrtOpAttr;
using ::OrtOpAttrType;
using ::OrtRunOptions;
using ::OrtSessionOptions;
using ::OrtStatus;
using ::OrtSyncStreamImpl;
using ::OrtTensorTypeAndShapeInfo;
using ::OrtTypeInfo;
using ::OrtValue;
using ::OrtValueInfo;
#else
struct OrtStatus;
struct OrtValue;
struct OrtTypeInfo;
struct OrtTensorTypeAndShapeInfo;
struct OrtKernelContext;
struct OrtKeyValuePairs;
struct OrtHardwareDevice;
struct OrtEpDevice;
struct OrtLogger;
struct OrtSessionOptions;
struct OrtRunOptions;
struct OrtGraph;
struct OrtNode;
struct OrtValueInfo;
struct OrtOpAttr;
struct OrtEpGraphSupportInfo;
struct OrtNodeComputeContext;
struct OrtMemoryInfo;
struct OrtMemoryDevice;
struct OrtAllocator;
struct OrtDataTransferImpl;
struct OrtSyncStreamImpl;
enum OrtErrorCode : int {
  ORT_OK = 0,
  ORT_FAIL = 1,
  ORT_INVALID_ARGUMENT = 2,
  ORT_RUNTIME_EXCEPTION = 6,
  ORT_NOT_IMPLEMENTED = 9,
  ORT_EP_FAIL = 11,
};
enum OrtLoggingLevel : int {
  ORT_LOGGING_LEVEL_VERBOSE = 0,
  ORT_LOGGING_LEVEL_INFO = 1,
  ORT_LOGGING_LEVEL_WARNING = 2,
  ORT_LOGGING_LEVEL_ERROR = 3,
  ORT_LOGGING_LEVEL_FATAL = 4,
};
enum OrtHardwareDeviceType : int { OrtHardwareDeviceType_CPU = 0 };
enum OrtOpAttrType : int {
  ORT_OP_ATTR_UNDEFINED = 0,
  ORT_OP_ATTR_INT = 1,
  ORT_OP_ATTR_INTS = 2,
  ORT_OP_ATTR_FLOAT = 3,
  ORT_OP_ATTR_FLOATS = 4,
  ORT_OP_ATTR_STRING = 5,
};
enum ONNXTensorElementDataType : int {};  // the numbers of graph/graph.h's ElementType
enum OrtCompiledModelCompatibility : int {};
enum OrtEpDataLayout : int {};
#endif

struct OrtEp;
struct OrtEpApi;
struct OrtEpFactory;
struct OrtNodeComputeInfo;
struct OrtNodeFusionOptions;

// Functions that return OrtStatus*: null is success, anything else must be given to ReleaseStatus.
struct OrtApi {
  OrtStatus* (*CreateStatus)(OrtErrorCode, const char*);  // 0
  OrtErrorCode (*GetErrorCode)(const OrtStatus*);         // 1
  const char* (*GetErrorMessage)(const OrtStatus*);       // 2
  Slot gap0[48];
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);  // 51
  Slot gap1[3];
  OrtStatus* (*CastTypeInfoToTensorInfo)(const OrtTypeInfo*, const OrtTensorTypeAndShapeInfo**);  // 55
  Slot gap2[4];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*, ONNXTensorElementDataType*);  // 60
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo*, size_t*);                       // 61
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t);                   // 62
  OrtStatus* (*GetSymbolicDimensions)(const OrtTensorTypeAndShapeInfo*, const char**, size_t);       // 63
  Slot gap3[1];
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**);  // 65
  Slot gap4[22];
  OrtStatus* (*KernelContext_GetInputCount)(const OrtKernelContext*, size_t*);                           // 88
  OrtStatus* (*KernelContext_GetOutputCount)(const OrtKernelContext*, size_t*);                          // 89
  OrtStatus* (*KernelContext_GetInput)(const OrtKernelContext*, size_t, const OrtValue**);               // 90
  OrtStatus* (*KernelContext_GetOutput)(OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**);  // 91
  Slot gap5[1];
  void (*ReleaseStatus)(OrtStatus*);  // 93
  Slot gap6[5];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);  // 99
  Slot gap7[147];
  OrtStatus* (*Logger_LogMessage)(const OrtLogger*, OrtLoggingLevel, const char*, const char*, int,
                                  const char*);                                      // 247
  OrtStatus* (*Logger_GetLoggingSeverityLevel)(const OrtLogger*, OrtLoggingLevel*);  // 248
  Slot gap8[23];
  OrtStatus* (*ReadOpAttr)(const OrtOpAttr*, OrtOpAttrType, void*, size_t, size_t*);  // 272
  Slot gap9[1];
  OrtStatus* (*KernelContext_ParallelFor)(const OrtKernelContext*, void (*)(void*, size_t), size_t, size_t,
                                          void*);  // 274
  Slot gap10[14];
  OrtStatus* (*GetValueInfoName)(const OrtValueInfo*, const char**);             // 289
  OrtStatus* (*GetValueInfoTypeInfo)(const OrtValueInfo*, const OrtTypeInfo**);  // 290
  Slot gap11[7];
  void (*GetKeyValuePairs)(const OrtKeyValuePairs*, const char* const**, const char* const**, size_t*);  // 298
  Slot gap12[1];
  void (*ReleaseKeyValuePairs)(OrtKeyValuePairs*);  // 300
  Slot gap13[6];
  OrtHardwareDeviceType (*HardwareDevice_Type)(const OrtHardwareDevice*);  // 307
  Slot gap14[9];
  const OrtEpApi* (*GetEpApi)();                                 // 317
  OrtStatus* (*GetTensorSizeInBytes)(const OrtValue*, size_t*);  // 318
  Slot gap15[7];
  OrtStatus* (*ValueInfo_GetInitializerValue)(const OrtValueInfo*, const OrtValue**);  // 326
  Slot gap16[3];
  OrtStatus* (*ValueInfo_IsGraphOutput)(const OrtValueInfo*, bool*);          // 330
  OrtStatus* (*ValueInfo_IsConstantInitializer)(const OrtValueInfo*, bool*);  // 331
  OrtStatus* (*ValueInfo_IsFromOuterScope)(const OrtValueInfo*, bool*);       // 332
  OrtStatus* (*Graph_GetName)(const OrtGraph*, const char**);                 // 333
  OrtStatus* (*Graph_GetModelPath)(const OrtGraph*, const char**);            // 334
  Slot gap17[3];
  OrtStatus* (*Graph_GetNumInputs)(const OrtGraph*, size_t*);                     // 338
  OrtStatus* (*Graph_GetInputs)(const OrtGraph*, const OrtValueInfo**, size_t);   // 339
  OrtStatus* (*Graph_GetNumOutputs)(const OrtGraph*, size_t*);                    // 340
  OrtStatus* (*Graph_GetOutputs)(const OrtGraph*, const OrtValueInfo**, size_t);  // 341
  Slot gap18[2];
  OrtStatus* (*Graph_GetNumNodes)(const OrtGraph*, size_t*);               // 344
  OrtStatus* (*Graph_GetNodes)(const OrtGraph*, const OrtNode**, size_t);  // 345
  OrtStatus* (*Graph_GetParentNode)(const OrtGraph*, const OrtNode**);     // 346
  Slot gap19[1];
  OrtStatus* (*Node_GetId)(const OrtNode*, size_t*);                                   // 348
  OrtStatus* (*Node_GetName)(const OrtNode*, const char**);                            // 349
  OrtStatus* (*Node_GetOperatorType)(const OrtNode*, const char**);                    // 350
  OrtStatus* (*Node_GetDomain)(const OrtNode*, const char**);                          // 351
  OrtStatus* (*Node_GetSinceVersion)(const OrtNode*, int*);                            // 352
  OrtStatus* (*Node_GetNumInputs)(const OrtNode*, size_t*);                            // 353
  OrtStatus* (*Node_GetInputs)(const OrtNode*, const OrtValueInfo**, size_t);          // 354
  OrtStatus* (*Node_GetNumOutputs)(const OrtNode*, size_t*);                           // 355
  OrtStatus* (*Node_GetOutputs)(const OrtNode*, const OrtValueInfo**, size_t);         // 356
  OrtStatus* (*Node_GetNumImplicitInputs)(const OrtNode*, size_t*);                    // 357
  OrtStatus* (*Node_GetImplicitInputs)(const OrtNode*, const OrtValueInfo**, size_t);  // 358
  OrtStatus* (*Node_GetNumAttributes)(const OrtNode*, size_t*);                        // 359
  OrtStatus* (*Node_GetAttributes)(const OrtNode*, const OrtOpAttr**, size_t);         // 360
  Slot gap20[2];
  OrtStatus* (*OpAttr_GetType)(const OrtOpAttr*, OrtOpAttrType*);  // 363
  OrtStatus* (*OpAttr_GetName)(const OrtOpAttr*, const char**);    // 364
  OrtStatus* (*Node_GetNumSubgraphs)(const OrtNode*, size_t*);     // 365
  Slot gap21[2];
  OrtStatus* (*Node_GetEpName)(const OrtNode*, const char**);  // 368
  Slot gap22[9];
  OrtStatus* (*GetTensorData)(const OrtValue*, const void**);                                  // 378
  OrtStatus* (*GetSessionOptionsConfigEntries)(const OrtSessionOptions*, OrtKeyValuePairs**);  // 379
};

struct OrtEpApi {
  OrtStatus* (*CreateEpDevice)(OrtEpFactory*, const OrtHardwareDevice*, const OrtKeyValuePairs*,
                               const OrtKeyValuePairs*, OrtEpDevice**);  // 0
  void (*ReleaseEpDevice)(OrtEpDevice*);                                 // 1
  OrtStatus* (*EpGraphSupportInfo_AddNodesToFuse)(OrtEpGraphSupportInfo*, const OrtNode* const*, size_t,
                                                  const OrtNodeFusionOptions*);  // 2
  Slot gap0[1];
  const char* (*NodeComputeContext_NodeName)(const OrtNodeComputeContext*);  // 4
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);  // null when the host is older
  const char* (*GetVersionString)();
};

// The structs below are implemented by the provider. ort_version_supported must be the version whose layout
// is declared (kApiVersion): ORT reads as far as that version's layout goes.

struct OrtNodeFusionOptions {
  uint32_t ort_version_supported;
  bool drop_constant_initializers;  // ORT may free the weights after Compile
};

struct OrtNodeComputeInfo {
  uint32_t ort_version_supported;
  OrtStatus* (*CreateState)(OrtNodeComputeInfo*, OrtNodeComputeContext*, void**);
  OrtStatus* (*Compute)(OrtNodeComputeInfo*, void*, OrtKernelContext*);
  void (*ReleaseState)(OrtNodeComputeInfo*, void*);
};

// Members from GetPreferredDataLayout on may be null.
struct OrtEp {
  uint32_t ort_version_supported;
  const char* (*GetName)(const OrtEp*);
  OrtStatus* (*GetCapability)(OrtEp*, const OrtGraph*, OrtEpGraphSupportInfo*);
  OrtStatus* (*Compile)(OrtEp*, const OrtGraph**, const OrtNode**, size_t, OrtNodeComputeInfo**, OrtNode**);
  void (*ReleaseNodeComputeInfos)(OrtEp*, OrtNodeComputeInfo**, size_t);
  OrtStatus* (*GetPreferredDataLayout)(OrtEp*, OrtEpDataLayout*);
  OrtStatus* (*ShouldConvertDataLayoutForOp)(OrtEp*, const char*, const char*, OrtEpDataLayout, int*);
  OrtStatus* (*SetDynamicOptions)(OrtEp*, const char* const*, const char* const*, size_t);
  OrtStatus* (*OnRunStart)(OrtEp*, const OrtRunOptions*);
  OrtStatus* (*OnRunEnd)(OrtEp*, const OrtRunOptions*, bool);
  OrtStatus* (*CreateAllocator)(OrtEp*, const OrtMemoryInfo*, OrtAllocator**);
  OrtStatus* (*CreateSyncStreamForDevice)(OrtEp*, const OrtMemoryDevice*, OrtSyncStreamImpl**);
  const char* (*GetCompiledModelCompatibilityInfo)(OrtEp*, const OrtGraph*);
};

// Null only in ValidateCompiledModelCompatibilityInfo, CreateAllocator, ReleaseAllocator, IsStreamAware and
// CreateSyncStreamForDevice: ORT calls the others without a check.
struct OrtEpFactory {
  uint32_t ort_version_supported;
  const char* (*GetName)(const OrtEpFactory*);
  const char* (*GetVendor)(const OrtEpFactory*);
  OrtStatus* (*GetSupportedDevices)(OrtEpFactory*, const OrtHardwareDevice* const*, size_t, OrtEpDevice**, size_t,
                                    size_t*);
  OrtStatus* (*CreateEp)(OrtEpFactory*, const OrtHardwareDevice* const*, const OrtKeyValuePairs* const*, size_t,
                         const OrtSessionOptions*, const OrtLogger*, OrtEp**);
  void (*ReleaseEp)(OrtEpFactory*, OrtEp*);
  uint32_t (*GetVendorId)(const OrtEpFactory*);
  const char* (*GetVersion)(const OrtEpFactory*);
  OrtStatus* (*ValidateCompiledModelCompatibilityInfo)(OrtEpFactory*, const OrtHardwareDevice* const*, size_t,
                                                       const char*, OrtCompiledModelCompatibility*);
  OrtStatus* (*CreateAllocator)(OrtEpFactory*, const OrtMemoryInfo*, const OrtKeyValuePairs*, OrtAllocator**);
  void (*ReleaseAllocator)(OrtEpFactory*, OrtAllocator*);
  OrtStatus* (*CreateDataTransfer)(OrtEpFactory*, OrtDataTransferImpl**);
  bool (*IsStreamAware)(const OrtEpFactory*);
  OrtStatus* (*CreateSyncStreamForDevice)(OrtEpFactory*, const OrtMemoryDevice*, const OrtKeyValuePairs*,
                                          OrtSyncStreamImpl**);
};

}  // namespace sparsecpu::ort
