// The kernel's library: its own files, the task's headers, and this. The reference is not in it.
#include "leaves.h"

#include "task.h"

#include "call.h"

output_t custom_kernel(input_t data);

output_t ksearch::run(input_t&& data) { return custom_kernel(std::move(data)); }
