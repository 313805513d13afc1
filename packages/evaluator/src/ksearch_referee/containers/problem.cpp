// The problem's library: `generate_input`, `ref_kernel` and `check_implementation`, as C functions.
//
// The runner includes these headers before the problem's, and problems may have come to rely on it.
#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

class TestReporter;  // `utils.h` has it, the problem's or ours; a check that takes none can do without

#include "utils.h"

#include "reference.cuh"

#include "call.h"

namespace ksearch {

#ifdef KSEARCH_ARGUMENT_NAMES
inline const std::vector<std::string> argument_names(ArgumentNames.begin(), ArgumentNames.end());
constexpr std::size_t number_of_names = ArgumentNames.size();
#else
inline const std::vector<std::string> argument_names;
constexpr std::size_t number_of_names = 0;
#endif

// Arguments of `generate_input` by name, as text.
using Given = std::vector<std::pair<std::string, std::string>>;

// Whether an integer type holds a number; std::in_range knows neither bool nor the character types.
template <class T>
bool holds(long long number) {
  if (number < 0) return std::is_signed_v<T> && number >= static_cast<long long>(std::numeric_limits<T>::min());
  return static_cast<unsigned long long>(number) <= static_cast<unsigned long long>(std::numeric_limits<T>::max());
}

template <class T>
T argument(const std::string& name, const std::string& text) {
  if constexpr (std::is_same_v<T, std::string>) {
    return text;
  } else {
    static_assert(std::is_arithmetic_v<T>, "generate_input takes numbers and std::string: a case holds nothing else");
    if (text == "True" || text == "False") return static_cast<T>(text == "True");
    try {
      std::size_t read = 0;
      if constexpr (std::is_integral_v<T>) {
        const long long number = std::stoll(text, &read);
        if (read == text.size() && holds<T>(number)) return static_cast<T>(number);
      } else {
        const double number = std::stod(text, &read);
        if (read == text.size()) return static_cast<T>(number);
      }
    } catch (const std::logic_error&) {  // what std::stoll and std::stod throw at a text that is no number
    }
    throw std::invalid_argument("'" + name + "' is '" + text + "', which its type in generate_input cannot hold");
  }
}

inline const std::string& text_of(const std::string& name, const Given& given) {
  for (const auto& [known, text] : given)
    if (known == name) return text;
  throw std::invalid_argument("the case has no '" + name + "', which ArgumentNames lists");
}

template <class... Parameters, std::size_t... Index>
input_t generate(input_t (*make)(Parameters...), const Given& given, std::index_sequence<Index...>) {
  static_assert(sizeof...(Parameters) == number_of_names,
                "task.h has to name every argument of generate_input, in order: constexpr std::array<const char*, N> "
                "ArgumentNames = {...}");
  for (const auto& [name, text] : given)
    if (name != "seed" && std::find(argument_names.begin(), argument_names.end(), name) == argument_names.end())
      throw std::invalid_argument("the case has '" + name + "', which ArgumentNames in task.h does not list");
  return make(argument<std::decay_t<Parameters>>(argument_names[Index], text_of(argument_names[Index], given))...);
}

template <class... Parameters>
input_t generate(input_t (*make)(Parameters...), const Given& given) {
  return generate(make, given, std::index_sequence_for<Parameters...>{});
}

template <class Data>
output_t reference(Data&& data) {
  if constexpr (requires { ref_kernel(std::forward<Data>(data)); }) return ref_kernel(std::forward<Data>(data));
  else return ref_kernel(data);
}

template <class T>
inline constexpr bool is_never = false;

template <class Reporter>
bool has_passed(const Reporter& reporter) {
  const bool passed = reporter.has_passed();
  said() = passed ? "" : reporter.message();
  return passed;
}

// The conventions in use: a reporter with data and output; before that, with output and reference; first of all, a truth
// value of output and reference. Where input_t is output_t a check with a reporter takes the data.
template <class Reporter, class Data, class Output>
bool check(Data& data, Output& output) {
  if constexpr (requires(Reporter& reporter) { check_implementation(reporter, data, output); }) {
    Reporter reporter;
    check_implementation(reporter, data, output);
    return has_passed(reporter);
  } else {
    Output want = reference(Data(data));
    if constexpr (requires(Reporter& reporter) { check_implementation(reporter, output, want); }) {
      Reporter reporter;
      check_implementation(reporter, output, want);
      return has_passed(reporter);
    } else if constexpr (requires { static_cast<bool>(check_implementation(output, want)); }) {
      const bool passed = static_cast<bool>(check_implementation(output, want));
      said() = "";
      return passed;
    } else {
      static_assert(is_never<Data>,
                    "check_implementation has to take (TestReporter&, input_t, output_t), or to return a truth value of "
                    "(output_t output, output_t reference)");
    }
  }
}

}  // namespace ksearch

output_t ksearch::run(input_t&& data) { return reference(std::move(data)); }

extern "C" {

// Makes the data of a call from a case; everything that draws by std::rand starts at the seed as well.
bool ksearch_generate(ksearch::Call* call, const char* const* names, const char* const* texts, std::int64_t number,
                      std::int64_t seed) {
  return ksearch::succeeds([&] {
    ksearch::Given given{{"seed", std::to_string(seed)}};
    for (std::int64_t index = 0; index < number; ++index) given.emplace_back(names[index], texts[index]);
    std::srand(static_cast<unsigned>(seed));
    call->data = ksearch::generate(&generate_input, given);
  });
}

// Computes the reference on a copy of the data, which stays as it is.
bool ksearch_try(ksearch::Call* call) {
  return ksearch::succeeds([&] { call->yield([&]() -> output_t { return ksearch::reference(input_t(call->data)); }); });
}

// Has the problem judge the output: 1 right, 0 wrong, and `ksearch_said` why, -1 if that fails.
int ksearch_check(ksearch::Call* call) {
  bool passed = false;
  const bool done = ksearch::succeeds([&] { passed = ksearch::check<TestReporter>(call->data, call->output()); });
  return done ? passed : -1;
}

}  // extern "C"
