#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

ErrorKind kind_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::internal;
}

// Runs `action` in a child process in which no file may grow beyond `bytes`; returns the child's wait status.
int run_with_file_limit(rlim_t bytes, bool survive_signal, const std::function<bool()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{bytes, bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    // Ignored, the signal becomes an error of write(), as a full disk is; otherwise it kills in the middle of
    // writing.
    std::signal(SIGXFSZ, survive_signal ? SIG_IGN : SIG_DFL);
    ::_exit(action() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(ReadFile, returns_all_bytes_including_zeros) {
  const TemporaryFolder folder;
  const std::string bytes("a\0b\n\xff", 5);
  std::ofstream(folder / "f", std::ios::binary) << bytes;
  EXPECT_EQ(read_file(folder / "f"), bytes);
}

TEST(ReadFile, reads_files_that_do_not_know_their_size) {
  EXPECT_NE(read_file("/proc/self/status").find("VmRSS"), std::string::npos);
}

TEST(ReadFile, names_the_path_when_it_cannot_read) {
  const TemporaryFolder folder;
  try {
    read_file(folder / "absent.csv");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_NE(std::string(error.what()).find("absent.csv"), std::string::npos);
  }
  EXPECT_EQ(kind_of([&] { read_file(folder.path()); }), ErrorKind::io);
}

TEST(WriteFileAtomically, replaces_the_whole_file_and_leaves_nothing_beside) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "a long old text");
  write_file_atomically(folder / "f", "new");
  EXPECT_EQ(read_file(folder / "f"), "new");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"f"});
}

TEST(WriteFileAtomically, says_io_when_the_folder_is_missing) {
  const TemporaryFolder folder;
  EXPECT_EQ(kind_of([&] { write_file_atomically(folder / "no/f", "x"); }), ErrorKind::io);
}

TEST(WriteFileAtomically, keeps_the_old_file_when_the_process_dies_while_writing) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "old");
  const int status = run_with_file_limit(1000, false, [&] {
    write_file_atomically(folder / "f", std::string(100'000, 'x'));
    return true;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(read_file(folder / "f"), "old");
  write_file_atomically(folder / "f", "newer");  // what the dead process left is not in the way
  EXPECT_EQ(read_file(folder / "f"), "newer");
}

TEST(WriteFileAtomically, removes_its_half_when_writing_fails) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "old");
  const int status = run_with_file_limit(1000, true, [&] {
    try {
      write_file_atomically(folder / "f", std::string(100'000, 'x'));
    } catch (const Error& error) {
      return error.kind() == ErrorKind::io;
    }
    return false;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(folder / "f"), "old");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"f"});
}

TEST(WriteFileAtomically, gives_readers_one_of_the_writers_files_whole) {
  const TemporaryFolder folder;
  {
    std::vector<std::jthread> writers;
    for (const char letter : {'a', 'b', 'c'})
      writers.emplace_back([&, letter] {
        for (int i = 0; i < 20; ++i) write_file_atomically(folder / "f", std::string(50'000, letter));
      });
  }
  const std::string text = read_file(folder / "f");
  EXPECT_EQ(text, std::string(50'000, text[0]));
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"f"});
}

TEST(WriteFileAtomically, replaces_what_a_link_points_to_and_keeps_the_link) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "store");
  write_file_atomically(folder / "store/f", "old");
  fs::create_symlink("store/f", folder / "near");
  fs::create_symlink(folder / "near", folder / "far");
  fs::create_symlink("store/fresh", folder / "dangling");
  write_file_atomically(folder / "far", "new");
  write_file_atomically(folder / "dangling", "fresh");
  EXPECT_TRUE(fs::is_symlink(folder / "near") && fs::is_symlink(folder / "far"));
  EXPECT_TRUE(fs::is_symlink(folder / "dangling"));
  EXPECT_EQ(read_file(folder / "store/f"), "new");
  EXPECT_EQ(names_in(folder / "store"), (std::vector<std::string>{"f", "fresh"}));
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"dangling", "far", "near", "store"}));
}

TEST(WriteFileAtomically, says_io_for_links_in_a_ring) {
  const TemporaryFolder folder;
  fs::create_symlink("b", folder / "a");
  fs::create_symlink("a", folder / "b");
  EXPECT_EQ(kind_of([&] { write_file_atomically(folder / "a", "x"); }), ErrorKind::io);
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"a", "b"}));
}

TEST(WriteFileAtomically, writes_into_a_pipe_and_leaves_it_there) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_symlink("pipe", folder / "link");
  for (const char* name : {"pipe", "link"}) {
    std::string seen;
    {
      const std::jthread reader([&] { std::getline(std::ifstream(folder / "pipe"), seen, '\0'); });
      write_file_atomically(folder / name, "through");
    }
    EXPECT_EQ(seen, "through");
    EXPECT_TRUE(fs::is_fifo(folder / "pipe"));
    EXPECT_TRUE(fs::is_symlink(folder / "link"));
  }
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"link", "pipe"}));
}

TEST(AtomicFile, is_absent_without_commit) {
  const TemporaryFolder folder;
  {
    AtomicFile file(folder / "f");
    file.write("half");
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(AtomicFile, joins_its_pieces) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "f");
  file.write("one ");
  file.write("two");
  EXPECT_FALSE(fs::exists(folder / "f"));
  file.commit();
  EXPECT_EQ(read_file(folder / "f"), "one two");
}

TEST(AtomicFolder, appears_whole_at_commit) {
  const TemporaryFolder folder;
  {
    AtomicFolder staged(folder / "checkpoints/10");
    fs::create_directory(staged.staging() / "tower");
    write_file_atomically(staged.staging() / "tower/config.json", "{}");
    EXPECT_FALSE(fs::exists(folder / "checkpoints/10"));
    staged.commit();
  }
  EXPECT_EQ(read_file(folder / "checkpoints/10/tower/config.json"), "{}");
  EXPECT_EQ(names_in(folder / "checkpoints"), std::vector<std::string>{"10"});
}

TEST(AtomicFolder, vanishes_without_commit) {
  const TemporaryFolder folder;
  {
    AtomicFolder staged(folder / "run");
    write_file_atomically(staged.staging() / "a", "a");
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(AtomicFolder, never_replaces_what_exists) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "run");
  EXPECT_EQ(kind_of([&] { AtomicFolder(folder / "run"); }), ErrorKind::input);
  EXPECT_EQ(kind_of([&] { AtomicFolder(folder / "run/"); }), ErrorKind::input);
}

TEST(AtomicFolder, never_replaces_what_came_meanwhile) {
  const TemporaryFolder folder;
  {
    AtomicFolder staged(folder / "run");
    fs::create_directory(folder / "run");
    EXPECT_EQ(kind_of([&] { staged.commit(); }), ErrorKind::io);
  }
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"run"});
}

TEST(AtomicFolder, starts_clean_after_a_crash_under_the_same_pid) {
  const TemporaryFolder folder;
  fs::create_directory(folder / ("run.partial-" + std::to_string(::getpid())));
  std::ofstream(folder / ("run.partial-" + std::to_string(::getpid()) + "/old")) << "old";
  AtomicFolder staged(folder / "run");
  staged.commit();
  EXPECT_TRUE(names_in(folder / "run").empty());
}

// A disk of one megabyte, for real; only root may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(const fs::path& path) : path_(path) {
    fs::create_directory(path);
    mounted_ = ::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount(path_.c_str());
  }
  bool mounted() const { return mounted_; }

 private:
  fs::path path_;
  bool mounted_;
};

TEST(FullDisk, atomic_writes_say_so_and_leave_nothing) {
  const TemporaryFolder folder;
  const SmallDisk disk(folder / "disk");
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a small tmpfs needs root; see removes_its_half_when_writing_fails";
  write_file_atomically(folder / "disk/f", "old");
  try {
    write_file_atomically(folder / "disk/f", std::string(4'000'000, 'x'));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_NE(error.advice().find("free some space"), std::string::npos);
  }
  EXPECT_EQ(kind_of([&] {
              AtomicFolder staged(folder / "disk/run");
              write_file_atomically(staged.staging() / "a", "fits");
              write_file_atomically(staged.staging() / "b", std::string(4'000'000, 'x'));
              staged.commit();
            }),
            ErrorKind::io);
  EXPECT_EQ(names_in(folder / "disk"), std::vector<std::string>{"f"});
  EXPECT_EQ(read_file(folder / "disk/f"), "old");
}

TEST(MappedFile, shows_the_bytes_and_can_be_moved) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "abc");
  MappedFile first(folder / "f");
  MappedFile second = std::move(first);
  EXPECT_TRUE(first.bytes().empty());
  ASSERT_EQ(second.bytes().size(), 3u);
  EXPECT_EQ(static_cast<char>(second.bytes()[2]), 'c');
}

TEST(MappedFile, an_empty_file_is_an_empty_range) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "");
  EXPECT_TRUE(MappedFile(folder / "f").bytes().empty());
  EXPECT_EQ(kind_of([&] { MappedFile(folder / "absent"); }), ErrorKind::io);
}

// Values of the Python package xxhash for the same bytes.
TEST(Digest, is_xxh3_128_as_others_compute_it) {
  EXPECT_EQ(digest_text(""), "xxh3:99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(digest_text("Shelfcast 2026"), "xxh3:5466e5c2c0a7c0580726177ff496c131");
}

TEST(Digest, of_file_bytes_and_text_agree) {
  const TemporaryFolder folder;
  std::string text(3'000'001, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * i % 251);
  write_file_atomically(folder / "f", text);
  EXPECT_EQ(digest_file(folder / "f"), digest_text(text));
  EXPECT_EQ(digest_bytes(std::as_bytes(std::span(text))), digest_text(text));
  text[2'000'000] ^= 1;
  EXPECT_NE(digest_file(folder / "f"), digest_text(text));
  EXPECT_EQ(kind_of([&] { digest_file(folder / "absent"); }), ErrorKind::io);
}

}  // namespace
}  // namespace shelfcast
