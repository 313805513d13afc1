// Stands in for the runner's `utils.h` where a problem's folder has none: the same names, nothing of the runner.
#pragma once

#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>

#ifdef __CUDACC__
// Ends the call and says where; the runner's own ends the process.
inline void ksearch_check_cuda(cudaError_t status, const char* expression, const char* file, int line) {
  if (status == cudaSuccess) return;
  std::ostringstream message;
  message << file << ':' << line << ": " << expression << ": " << cudaGetErrorString(status);
  throw std::runtime_error(message.str());
}
#define CUDA_CHECK(expression) ksearch_check_cuda(expression, #expression, __FILE__, __LINE__)
#endif

// What a check says of an output: once that it passes, or once why it fails.
class TestReporter {
 public:
  void pass() { decide(Verdict::passed); }

  std::stringstream& fail() {
    decide(Verdict::failed);
    return message_;
  }

  template <class Value, class Expected>
  bool check_equal(const char* what, const Value& value, const Expected& expected) {
    if (value == expected) return true;
    fail() << what << ": " << value << " instead of " << expected;
    return false;
  }

  bool has_passed() const {
    if (verdict_ == Verdict::none) throw std::logic_error("check_implementation neither passed nor failed the output");
    return verdict_ == Verdict::passed;
  }

  std::string message() const { return message_.str(); }

 private:
  enum class Verdict { none, passed, failed };

  void decide(Verdict verdict) {
    if (verdict_ != Verdict::none) throw std::logic_error("check_implementation decided twice");
    verdict_ = verdict;
  }

  Verdict verdict_ = Verdict::none;
  std::stringstream message_;
};
