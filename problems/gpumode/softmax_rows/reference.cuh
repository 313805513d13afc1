#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "task.h"

static input_t generate_input(int rows, int columns, int spread, int seed) {
  std::mt19937 source(seed);
  std::normal_distribution<float> normal(0.0f, static_cast<float>(spread));
  std::vector<float> elements(static_cast<std::size_t>(rows) * columns);
  for (float& element : elements) element = normal(source);
  return {std::move(elements), columns};
}

static output_t ref_kernel(input_t data) {
  auto& [elements, columns] = data;
  for (auto row = elements.begin(); row != elements.end(); row += columns) {
    const float largest = *std::max_element(row, row + columns);
    double sum = 0;
    for (int j = 0; j < columns; ++j) sum += row[j] = std::exp(row[j] - largest);
    for (int j = 0; j < columns; ++j) row[j] = static_cast<float>(row[j] / sum);
  }
  return std::move(elements);
}

static void check_implementation(TestReporter& reporter, input_t data, output_t output) {
  const output_t expected = ref_kernel(std::move(data));
  if (!reporter.check_equal("number of elements", output.size(), expected.size())) return;
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (!(std::abs(output[i] - expected[i]) <= 1e-6f + 1e-4f * expected[i])) {
      reporter.fail() << "element " << i << " is " << output[i] << ", not " << expected[i];
      return;
    }
  reporter.pass();
}
