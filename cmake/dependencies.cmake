# Outside libraries, each as one target. LibTorch, Arrow and the CUDA runtime come from the pinned toolchain
# (scripts/toolchain.sh) or from SHELFCAST_TORCH and CUDA_HOME; everything else from the system.

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(MPI REQUIRED COMPONENTS C)
# mpi.h still brings C++ bindings that the standard dropped, unless told not to.
target_compile_definitions(MPI::MPI_C INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)

find_package(HDF5 REQUIRED COMPONENTS C)
if(HDF5_IS_PARALLEL)
  message(FATAL_ERROR "HDF5 in ${HDF5_INCLUDE_DIRS} is the parallel build, which needs MPI in every program (corpora are "
    "read by single processes) - install the serial one (libhdf5-dev) or point HDF5_ROOT to it")
endif()
add_library(shelfcast_hdf5 INTERFACE)
add_library(shelfcast::hdf5 ALIAS shelfcast_hdf5)
target_include_directories(shelfcast_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(shelfcast_hdf5 INTERFACE ${HDF5_C_LIBRARIES})

find_package(PkgConfig REQUIRED)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
# Debian's CMake file for XGBoost names a program of another package.
pkg_check_modules(XGBOOST REQUIRED IMPORTED_TARGET xgboost)
add_library(shelfcast::utf8proc ALIAS PkgConfig::UTF8PROC)
add_library(shelfcast::xxhash ALIAS PkgConfig::XXHASH)
add_library(shelfcast::xgboost ALIAS PkgConfig::XGBOOST)

if(SHELFCAST_TOOLCHAIN)
  set(toolchain ${SHELFCAST_TOOLCHAIN})
else()
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/toolchain.sh OUTPUT_VARIABLE toolchain
    OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "scripts/toolchain.sh could not provide LibTorch and Arrow; its message is above")
  endif()
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/scripts/toolchain.sh)

# Includes of the wheels come after the system's (-idirafter, which also silences their warnings): LibTorch carries
# copies of fmt and others that must not hide the system's.
function(shelfcast_wheel_includes target)
  foreach(folder IN LISTS ARGN)
    if(NOT IS_DIRECTORY ${folder})
      message(FATAL_ERROR "${folder} is missing - remove its toolchain folder and configure again")
    endif()
    target_compile_options(${target} INTERFACE "SHELL:-idirafter ${folder}")
  endforeach()
endfunction()

# LibTorch: libtorch_cpu and libc10 directly, also on GPU machines. Programs start in a quarter of the time, no CUDA
# is needed to build, and the GPU module (parallel/gpu) brings libtorch_cuda at run time.
if(DEFINED ENV{SHELFCAST_TORCH})
  set(torch_root $ENV{SHELFCAST_TORCH})
else()
  set(torch_root ${toolchain}/torch)
endif()
if(NOT EXISTS ${torch_root}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "${torch_root}/lib/libtorch_cpu.so is missing - point SHELFCAST_TORCH to a folder with LibTorch's "
    "include/ and lib/, or unset it")
endif()
add_library(shelfcast_torch_libraries INTERFACE)
shelfcast_wheel_includes(shelfcast_torch_libraries ${torch_root}/include ${torch_root}/include/torch/csrc/api/include)
target_link_libraries(shelfcast_torch_libraries INTERFACE
  ${torch_root}/lib/libtorch_cpu.so ${torch_root}/lib/libc10.so Threads::Threads)

# Arrow from the pyarrow wheel.
add_library(shelfcast_arrow INTERFACE)
add_library(shelfcast::arrow ALIAS shelfcast_arrow)
shelfcast_wheel_includes(shelfcast_arrow ${toolchain}/pyarrow/include)
target_link_libraries(shelfcast_arrow INTERFACE ${toolchain}/pyarrow/libarrow.so ${toolchain}/pyarrow/libparquet.so)
# The wheel splits off compute kernels, which CSV reading and casts need registered.
foreach(part IN ITEMS libarrow_compute.so)
  if(EXISTS ${toolchain}/pyarrow/${part})
    target_link_libraries(shelfcast_arrow INTERFACE ${toolchain}/pyarrow/${part})
  endif()
endforeach()

# The CUDA runtime, its compiler of kernels and NCCL: only for the GPU module.
if(SHELFCAST_GPU)
  if(DEFINED ENV{CUDA_HOME})
    set(cuda_root $ENV{CUDA_HOME})
  else()
    set(cuda_root ${toolchain}/nvidia/cu13)
  endif()
  # shelfcast::NAME from a library of the toolkit and a header that comes with it.
  function(shelfcast_cuda_part name library header)
    string(TOUPPER SHELFCAST_${library} found)
    find_library(${found} ${library} PATHS ${cuda_root}/lib64 ${cuda_root}/lib NO_DEFAULT_PATH)
    mark_as_advanced(${found})
    if(NOT ${found} OR NOT EXISTS ${cuda_root}/include/${header})
      message(FATAL_ERROR "No ${library} with ${header} under ${cuda_root} - set CUDA_HOME to a whole CUDA toolkit, unset it to "
        "use the pinned one, or configure with -DSHELFCAST_GPU=OFF")
    endif()
    add_library(shelfcast_${name} INTERFACE)
    add_library(shelfcast::${name} ALIAS shelfcast_${name})
    shelfcast_wheel_includes(shelfcast_${name} ${cuda_root}/include)
    target_link_libraries(shelfcast_${name} INTERFACE ${${found}})
  endfunction()
  shelfcast_cuda_part(cuda_runtime cudart cuda_runtime_api.h)
  shelfcast_cuda_part(cuda_compiler nvrtc nvrtc.h)

  find_path(SHELFCAST_NCCL_INCLUDE nccl.h HINTS $ENV{NCCL_HOME}/include ${toolchain}/nvidia/nccl/include)
  find_library(SHELFCAST_NCCL nccl HINTS $ENV{NCCL_HOME}/lib ${toolchain}/nvidia/nccl/lib)
  mark_as_advanced(SHELFCAST_NCCL_INCLUDE SHELFCAST_NCCL)
  if(NOT SHELFCAST_NCCL OR NOT SHELFCAST_NCCL_INCLUDE)
    message(FATAL_ERROR "NCCL is missing - set NCCL_HOME to a folder with its include/ and lib/, unset SHELFCAST_TORCH and "
      "CUDA_HOME to use the pinned one, or configure with -DSHELFCAST_GPU=OFF")
  endif()
  add_library(shelfcast_nccl INTERFACE)
  add_library(shelfcast::nccl ALIAS shelfcast_nccl)
  shelfcast_wheel_includes(shelfcast_nccl ${SHELFCAST_NCCL_INCLUDE})
  target_link_libraries(shelfcast_nccl INTERFACE ${SHELFCAST_NCCL})
endif()

if(SHELFCAST_TESTS)
  find_package(GTest REQUIRED)
endif()
if(SHELFCAST_BENCH)
  find_package(benchmark REQUIRED)
endif()
