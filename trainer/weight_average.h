// A moving average of the trained weights: what is validated, stored and exported in their place.
#pragma once

#include <torch/types.h>

#include "parallel/flat_buffers.h"

namespace shelfcast::trainer {

// average = decay * average + (1 - decay) * weights after every step (Polyak and Juditsky, 1992), beginning
// with the weights there are. With decay 0 it does nothing and takes no memory. One thread calls it.
class WeightAverage {
 public:
  // `buffers` must outlive it.
  WeightAverage(parallel::FlatBuffers& buffers, double decay);

  bool active() const { return average_.defined(); }
  void update();
  // [elements], laid out as the buffers' values; undefined when not active.
  const at::Tensor& values() const { return average_; }

  // While it lives, the buffers hold the average (and this the weights).
  class Use {
   public:
    explicit Use(WeightAverage& average) : average_(average) { average_.exchange(); }
    ~Use() { average_.exchange(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    WeightAverage& average_;
  };

 private:
  void exchange();

  parallel::FlatBuffers& buffers_;
  double decay_;
  at::Tensor average_;
};

}  // namespace shelfcast::trainer
