// Lines of text between processes over TCP, beside MPI and without ever blocking: what heartbeats travel on.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shelfcast::parallel {

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int get() const { return number_; }

 private:
  int number_;
};

// How a connection is.
enum class Link {
  open,
  closed,  // by the other end, or by its kernel when its process ended
  broken,  // by the network: nothing is known about the other process
};

// One connection. Used from one thread at a time; nothing blocks but flush_within().
class Channel {
 public:
  explicit Channel(Descriptor socket);

  int descriptor() const { return socket_.get(); }
  Link link() const { return link_; }
  bool has_unsent() const { return !unsent_.empty(); }
  // Sends a line now as far as the kernel takes it, the rest with later calls. What the other end is too slow
  // to take is dropped beyond a few megabytes.
  void send(std::string_view line);
  void flush();
  // Whether all went out within `limit`.
  bool flush_within(std::chrono::milliseconds limit);
  // The whole lines that have come since the last call; updates link().
  std::vector<std::string> receive();
  // The next receive() returns `lines` first.
  void put_back(std::span<const std::string> lines);

 private:
  Descriptor socket_;
  Link link_ = Link::open;
  std::string unsent_, received_;
};

// Where a listener can be reached: its port on any of `addresses` (host name first).
struct Endpoint {
  std::string host;
  std::vector<std::string> addresses;
  int port = 0;
};

// Accepts connections on any free port of every interface.
class Listener {
 public:
  // Throws Error(communication) when the system gives no socket.
  Listener();
  int descriptor() const { return socket_.get(); }
  int port() const { return port_; }
  // Those that have come since the last call.
  std::vector<Channel> accept();

 private:
  Descriptor socket_;
  int port_ = 0;
};

// The numeric addresses of this machine's interfaces, loopback and link-local ones left out.
std::vector<std::string> interface_addresses();

// Connects to the port at `address` (a name or number), waiting `limit` at most for each address that a name
// has. A channel whose descriptor is -1 and whose link is broken when there is no way.
Channel connect_to(const std::string& address, int port, std::chrono::milliseconds limit);

// A wake-up for a thread that polls descriptors. ring() may be called from any thread.
class Bell {
 public:
  Bell();
  int descriptor() const { return event_.get(); }
  void ring();
  void silence();

 private:
  Descriptor event_;
};

}  // namespace shelfcast::parallel
