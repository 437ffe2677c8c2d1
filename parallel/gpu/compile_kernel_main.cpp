// Compiles a kernel to PTX, which a driver turns into the code of its device, and writes a source that holds
// it: compile_kernel IN.cu OUT.cpp ROOT NAME, where ROOT is what the kernel's includes start from and NAME
// that of the array of characters, in shelfcast::parallel.
// With NVRTC, which a machine without a GPU or nvcc has in a wheel of its own.
#include <nvrtc.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

namespace {

bool check(nvrtcResult status) {
  if (status != NVRTC_SUCCESS) std::fprintf(stderr, "compile_kernel: %s\n", nvrtcGetErrorString(status));
  return status == NVRTC_SUCCESS;
}

std::string log_of(nvrtcProgram program) {
  std::size_t bytes = 0;
  if (!check(nvrtcGetProgramLogSize(program, &bytes))) return {};
  std::string log(bytes, '\0');
  return check(nvrtcGetProgramLog(program, log.data())) ? log : std::string();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) return std::fprintf(stderr, "usage: compile_kernel IN.cu OUT.cpp ROOT NAME\n"), 2;
  std::ifstream in(arguments[1]);
  const std::string source{std::istreambuf_iterator<char>(in), {}}, root = std::string("-I") + arguments[3];
  nvrtcProgram program = nullptr;
  if (!in || !check(nvrtcCreateProgram(&program, source.c_str(), arguments[1], 0, nullptr, nullptr)))
    return 1;
  // The oldest devices that parallel/nccl/gpu_choice.cpp lets in.
  const char* options[] = {"--gpu-architecture=compute_75", "--std=c++17", root.c_str()};
  std::size_t bytes = 0;
  if (!check(nvrtcCompileProgram(program, 3, options)) || !check(nvrtcGetPTXSize(program, &bytes)))
    return std::fprintf(stderr, "%s", log_of(program).c_str()), 1;
  std::string ptx(bytes, '\0');  // its terminating NUL included
  if (!check(nvrtcGetPTX(program, ptx.data()))) return 1;
  std::ofstream out(arguments[2]);
  out << "namespace shelfcast::parallel {\nextern const char " << arguments[4] << "[];\nconst char "
      << arguments[4] << "[] = {\n";
  for (std::size_t i = 0; i < bytes; ++i) out << static_cast<int>(ptx[i]) << (i % 32 == 31 ? ",\n" : ",");
  out << "};\n}\n";
  out.close();
  return out ? 0 : (std::fprintf(stderr, "compile_kernel: %s cannot be written\n", arguments[2]), 1);
}
