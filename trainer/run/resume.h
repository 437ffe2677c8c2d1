// What a training does that finds its run folder there.
#pragma once

namespace shelfcast::trainer {

enum class Resume {
  never,      // start; an existing folder is an error
  required,   // go on; a missing run is an error
  automatic,  // go on where there is a run, else start
};

}  // namespace shelfcast::trainer
