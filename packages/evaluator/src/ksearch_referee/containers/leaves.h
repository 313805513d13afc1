// Takes the containers of a GPU MODE task apart into leaves, and puts containers of given sizes together.
//
// A leaf is a dense tensor of numbers: a number has no dimensions, a std::array of something dense one more, and a
// std::vector of something dense is a leaf that has its size only when it is made. A std::vector or std::array of
// anything else is a list, std::tuple and std::pair are tuples. Written as `trees.py` has it:
// {"tuple": [{"leaf": {"dtype": "float32", "shape": [128], "order": null, "address": 94003}}, …]}.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#endif

namespace ksearch {

static_assert(sizeof(bool) == 1);

// What the referee calls a type of numbers (`dtypes.py`), null for any other type.
template <class T>
constexpr const char* dtype_of() {
  if constexpr (std::is_same_v<T, bool>) {
    return "bool";
  } else if constexpr (std::is_floating_point_v<T>) {
    return sizeof(T) == 4 ? "float32" : sizeof(T) == 8 ? "float64" : nullptr;
  } else if constexpr (std::is_integral_v<T>) {
    constexpr bool is_signed = std::is_signed_v<T>;
    if constexpr (sizeof(T) == 1) return is_signed ? "int8" : "uint8";
    else if constexpr (sizeof(T) == 2) return is_signed ? "int16" : "uint16";
    else if constexpr (sizeof(T) == 4) return is_signed ? "int32" : "uint32";
    else if constexpr (sizeof(T) == 8) return is_signed ? "int64" : "uint64";
    else return nullptr;
#ifdef __CUDACC__
  } else if constexpr (std::is_same_v<T, __half>) {
    return "float16";
  } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    return "bfloat16";
  } else if constexpr (std::is_same_v<T, __nv_fp8_e4m3>) {
    return "float8_e4m3fn";
  } else if constexpr (std::is_same_v<T, __nv_fp8_e5m2>) {
    return "float8_e5m2";
#endif
  } else {
    return nullptr;
  }
}

template <class T>
struct Dense {
  static constexpr bool is_dense = dtype_of<T>() != nullptr;
  static constexpr const char* dtype = dtype_of<T>();
  static void extend(std::string&) {}
};

template <class T, std::size_t N>
struct Dense<std::array<T, N>> {
  static constexpr bool is_dense = Dense<T>::is_dense && N > 0;
  static constexpr const char* dtype = Dense<T>::dtype;
  // Appends the dimensions, each with a comma behind it.
  static void extend(std::string& shape) {
    shape.append(std::to_string(N)).append(1, ',');
    Dense<T>::extend(shape);
  }
};

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;
template <class T>
inline constexpr bool is_tuple = false;
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>> = true;
template <class A, class B>
inline constexpr bool is_tuple<std::pair<A, B>> = true;

template <class T>
constexpr void check_type() {
  static_assert(!std::is_same_v<T, std::vector<bool>>,
                "std::vector<bool> packs its elements: use std::vector<uint8_t> in input_t and output_t");
  static_assert(Dense<T>::is_dense || is_vector<T> || is_array<T> || is_tuple<T>,
                "input_t and output_t have to be made up of numbers of at most 8 bytes in std::vector, std::array, "
                "std::tuple and std::pair");
}

inline constexpr int most_leaves = 1'024;

// A tree as text; its parts are written with a comma behind each, and the last one is taken back.
class Description {
 public:
  // `shape` has a comma behind each dimension.
  void leaf(const char* dtype, std::string shape, const void* data) {
    if (++leaves_ > most_leaves) throw std::length_error("more than 1024 tensors");
    if (!shape.empty()) shape.pop_back();
    text_.append(R"({"leaf":{"dtype":")").append(dtype).append(R"(","shape":[)").append(shape);
    text_.append(R"(],"order":null,"address":)").append(std::to_string(reinterpret_cast<std::uintptr_t>(data)));
    text_.append("}}");
  }

  template <class Parts>
  void node(const char* kind, Parts&& parts) {
    text_.append(R"({")").append(kind).append(R"(":[)");
    parts();
    if (text_.back() == ',') text_.pop_back();
    text_.append("]}");
  }

  void next() { text_.append(1, ','); }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
  int leaves_ = 0;
};

template <class T>
void describe(const T& value, Description& told) {
  check_type<T>();
  const auto part = [&told](const auto& each) {
    describe(each, told);
    told.next();
  };
  std::string shape;
  if constexpr (Dense<T>::is_dense) {
    Dense<T>::extend(shape);
    told.leaf(Dense<T>::dtype, shape, &value);
  } else if constexpr (is_tuple<T>) {
    told.node("tuple", [&] { std::apply([&](const auto&... parts) { (part(parts), ...); }, value); });
  } else {
    using Element = typename T::value_type;
    if constexpr (is_vector<T> && Dense<Element>::is_dense) {
      shape.append(std::to_string(value.size())).append(1, ',');
      Dense<Element>::extend(shape);
      told.leaf(Dense<Element>::dtype, shape, value.data());
    } else {
      told.node("list", [&] {
        for (const Element& each : value) part(each);
      });
    }
  }
}

// Sizes of a tree from its root on: of a list how many it has, of a leaf its first dimension, if it has any.
class Sizes {
 public:
  explicit Sizes(const std::int64_t* sizes) : next_(sizes) {}

  std::size_t next() { return static_cast<std::size_t>(*next_++); }

  void expect(std::size_t size) {
    if (next() != size) throw std::invalid_argument("an array of another size");
  }

 private:
  const std::int64_t* next_;
};

template <class T>
void resize(T& value, Sizes& sizes) {
  check_type<T>();
  if constexpr (is_tuple<T>) {
    std::apply([&](auto&... parts) { (resize(parts, sizes), ...); }, value);
  } else if constexpr (is_vector<T> || is_array<T>) {
    if constexpr (is_vector<T>) value.resize(sizes.next());
    else sizes.expect(value.size());
    if constexpr (!Dense<typename T::value_type>::is_dense)
      for (auto& each : value) resize(each, sizes);
  }
}

}  // namespace ksearch
