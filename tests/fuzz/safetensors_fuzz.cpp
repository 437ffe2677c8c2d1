// Any bytes as a safetensors file: refused with a clear error, or every tensor can be read.
#include "base/safetensors.h"
#include "tests/fuzz/input_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const shelfcast::fuzz::InputFolder folder;
  folder.write("model.safetensors", bytes, size);
  shelfcast::fuzz::expect_read_or_refused([] {
    const shelfcast::SafetensorsFile file(folder.path() / "model.safetensors");
    for (const auto& [name, tensor] : file.tensors())
      shelfcast::fuzz::expect_read_or_refused([&, &stored = tensor] {
        if (stored.to_float().size() != static_cast<std::size_t>(stored.elements())) std::abort();
      });
  });
  // The same bytes as the index of a sharded model.
  folder.write("model.safetensors.index.json", bytes, size);
  std::filesystem::rename(folder.path() / "model.safetensors", folder.path() / "shard.safetensors");
  shelfcast::fuzz::expect_read_or_refused([] { const shelfcast::StoredWeights weights(folder.path()); });
  return 0;
}
