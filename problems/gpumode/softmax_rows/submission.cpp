#include <algorithm>
#include <cmath>
#include <utility>

#include "task.h"

// A first answer that is right: in place, in float32.
output_t custom_kernel(input_t data) {
  auto& [elements, columns] = data;
  for (std::size_t start = 0; start < elements.size(); start += columns) {
    float* row = elements.data() + start;
    const float largest = *std::max_element(row, row + columns);
    float sum = 0;
    for (int j = 0; j < columns; ++j) sum += row[j] = std::exp(row[j] - largest);
    for (int j = 0; j < columns; ++j) row[j] /= sum;
  }
  return std::move(elements);
}
