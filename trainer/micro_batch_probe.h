// What a micro-batch of a recipe's size takes, found by running smaller ones.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "models/blocks.h"

namespace shelfcast::trainer {

// What `count` of something take, by a line through what two and six of it take.
std::int64_t extrapolated(std::int64_t count, const std::function<std::int64_t(std::int64_t)>& taken_by);

// Seconds of `count` together on a device: the fastest of a few tries. On the CPU by what up to eight take; a
// GPU needs all of them to be busy, and a first try to load its kernels.
double seconds_of(std::int64_t count, const at::Device& device,
                  const std::function<void(std::int64_t)>& work);

// As in training, gradients exist before the first backward.
void make_gradients(const std::vector<models::Parameter>& parameters);

// To where they are to be timed.
void move_with_gradients(const at::Device& device, const std::vector<models::Parameter>& parameters);

}  // namespace shelfcast::trainer
