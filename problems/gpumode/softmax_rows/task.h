#pragma once

#include <array>
#include <tuple>
#include <vector>

// The elements of a matrix, row by row, and how many columns it has.
using input_t = std::tuple<std::vector<float>, int>;
using output_t = std::vector<float>;

// What generate_input takes, in order.
constexpr std::array<const char*, 4> ArgumentNames = {"rows", "columns", "spread", "seed"};
