/* The kernels as XLA calls them: handlers for its foreign function interface, by the plain C header that jaxlib ships.
 *
 * Arguments and results are those of `forward` and `backward`. Attributes: `n`, the sizes; `threads`; `of_xs`, 0 where
 * the first result, the cotangent of xs, is left out.
 */
#include "xla/ffi/api/c_api.h"

typedef int Kernel(const long *, long, long, long, const real *const *, real *const *);

static XLA_FFI_Error *failure(XLA_FFI_CallFrame *frame, XLA_FFI_Error_Code code, const char *message) {
  XLA_FFI_Error_Create_Args args = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, 0, message, code};
  return frame->api->XLA_FFI_Error_Create(&args);
}

static const void *attribute(XLA_FFI_CallFrame *frame, const char *name) {
  for (int64_t i = 0; i < frame->attrs.size; ++i) {
    XLA_FFI_ByteSpan *found = frame->attrs.names[i];
    if (found->len == strlen(name) && !memcmp(found->ptr, name, found->len)) return frame->attrs.attrs[i];
  }
  return 0;
}

static XLA_FFI_Error *handle(XLA_FFI_CallFrame *frame, Kernel *kernel) {
  XLA_FFI_Extension_Base *extension = frame->extension_start;
  if (extension && extension->type == XLA_FFI_Extension_Metadata) { /* asked which interface this was built for */
    XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)extension)->metadata;
    metadata->api_version.major_version = XLA_FFI_API_MAJOR;
    metadata->api_version.minor_version = XLA_FFI_API_MINOR;
    metadata->traits = 0;
    return 0;
  }
  if (frame->stage != XLA_FFI_ExecutionStage_EXECUTE) return 0;
  const XLA_FFI_Array *sizes = attribute(frame, "n");
  const XLA_FFI_Scalar *threads = attribute(frame, "threads"), *of_xs = attribute(frame, "of_xs");
  enum { MOST = 256 };
  if (!sizes || !threads || !of_xs || frame->args.size < 1 || frame->args.size > MOST || frame->rets.size > MOST)
    return failure(frame, XLA_FFI_Error_Code_INVALID_ARGUMENT, "a fused kernel was called with other arguments than its own");
  long n[MOST];
  for (size_t i = 0; i < sizes->size && i < MOST; ++i) n[i] = (long)((const int64_t *)sizes->data)[i];
  const real *in[MOST];
  real *out[MOST + 2] = {0};
  int64_t skipped = *(const int64_t *)of_xs->value ? 0 : 1;
  for (int64_t i = 0; i < frame->args.size; ++i) in[i] = ((XLA_FFI_Buffer *)frame->args.args[i])->data;
  for (int64_t i = 0; i < frame->rets.size; ++i) out[i + skipped] = ((XLA_FFI_Buffer *)frame->rets.rets[i])->data;
  const int64_t *dims = ((XLA_FFI_Buffer *)frame->args.args[0])->dims;
  if (kernel(n, (long)dims[0], (long)dims[1], (long)*(const int64_t *)threads->value, in, out))
    return failure(frame, XLA_FFI_Error_Code_RESOURCE_EXHAUSTED, "a fused kernel got no memory or threads");
  return 0;
}

XLA_FFI_Error *xla_forward(XLA_FFI_CallFrame *frame) { return handle(frame, forward); }
XLA_FFI_Error *xla_backward(XLA_FFI_CallFrame *frame) { return handle(frame, backward); }
