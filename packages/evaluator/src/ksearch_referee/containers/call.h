// One call of a function of a GPU MODE task, from `input_t` to `output_t`, as C functions that Python can call
// (`worker/containers.py`). Behind the task's own header, in the one file of a library that defines `ksearch::run`.
#pragma once

#include <exception>
#include <new>

#include "leaves.h"

namespace ksearch {

// The function itself; defined by the file that includes this.
output_t run(input_t&& data);

inline std::string& said() {
  thread_local std::string text;
  return text;
}

// Runs code of the task; false if it throws, with what it throws in `said()`.
template <class Code>
bool succeeds(Code&& code) {
  try {
    code();
    return true;
  } catch (const std::exception& error) {
    said() = error.what();
  } catch (...) {
    said() = "something that is no std::exception";
  }
  return false;
}

// The output is constructed right where it stays: what a task returns is not moved under the clock.
class Call {
 public:
  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() { forget(); }

  input_t data{};

  template <class Make>
  void yield(Make&& make) {
    forget();
    ::new (static_cast<void*>(storage_)) output_t(make());
    has_output_ = true;
  }

  output_t& output() {
    if (!has_output_) throw std::logic_error("there is no output yet");
    return *std::launder(reinterpret_cast<output_t*>(storage_));
  }

 private:
  void forget() {
    if (has_output_) output().~output_t();
    has_output_ = false;
  }

  alignas(output_t) unsigned char storage_[sizeof(output_t)];
  bool has_output_ = false;
};

template <class T>
bool describe_into_said(const T& value) {
  return succeeds([&] {
    Description told;
    describe(value, told);
    said() = told.text();
  });
}

}  // namespace ksearch

extern "C" {

const char* ksearch_said() { return ksearch::said().c_str(); }

ksearch::Call* ksearch_begin() {
  ksearch::Call* call = nullptr;
  ksearch::succeeds([&] { call = new ksearch::Call; });
  return call;
}

void ksearch_end(ksearch::Call* call) { delete call; }

bool ksearch_resize_data(ksearch::Call* call, const std::int64_t* sizes) {
  return ksearch::succeeds([&] {
    ksearch::Sizes rest(sizes);
    ksearch::resize(call->data, rest);
  });
}

bool ksearch_resize_output(ksearch::Call* call, const std::int64_t* sizes) {
  return ksearch::succeeds([&] {
    ksearch::Sizes rest(sizes);
    call->yield([] { return output_t{}; });
    ksearch::resize(call->output(), rest);
  });
}

bool ksearch_describe_data(ksearch::Call* call) { return ksearch::describe_into_said(call->data); }

bool ksearch_describe_output(ksearch::Call* call) {
  return ksearch::succeeds([&] { call->output(); }) && ksearch::describe_into_said(call->output());
}

// All that is timed: the data is moved into the call, and what is returned is left where it is.
bool ksearch_run(ksearch::Call* call) {
  return ksearch::succeeds([&] { call->yield([&]() -> output_t { return ksearch::run(std::move(call->data)); }); });
}

}  // extern "C"
