// What the subcommands of `shelfcast` do; each has a file here.
#pragma once

#include "parallel/launch.h"
#include "trainer/command_line.h"

namespace shelfcast::trainer {

// Each throws Error; under mpirun or srun all ranks call it with the same command.
void run(const SynthCommand& command, parallel::Launch& launch);
void run(const IngestCommand& command, parallel::Launch& launch);
void run(const InspectCommand& command, parallel::Launch& launch);
void run(const TrainCommand& command, parallel::Launch& launch);
void run(const StopCommand& command, parallel::Launch& launch);
void run(const ForecastCommand& command, parallel::Launch& launch);
void run(const BacktestCommand& command, parallel::Launch& launch);
void run(const WeightsCommand& command, parallel::Launch& launch);
void run(const ExportCommand& command, parallel::Launch& launch);
void run(const TokenizeCommand& command, parallel::Launch& launch);
void run(const EmbedCommand& command, parallel::Launch& launch);
void run(const LabelCommand& command, parallel::Launch& launch);
void run(const DoctorCommand& command, parallel::Launch& launch);

}  // namespace shelfcast::trainer
