#include "parallel/side_channel.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "base/error.h"

namespace shelfcast::parallel {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A table of ten thousand ranks fits; more is not ours.
constexpr std::size_t kLongestLine = std::size_t{4} << 20;

int remaining(steady_clock::time_point until) {
  const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

// Whether the socket is ready for `events` in time. A signal ends no wait early.
bool is_ready(int socket, short events, steady_clock::time_point until) {
  pollfd watched{socket, events, 0};
  while (true) {
    const int ready = ::poll(&watched, 1, remaining(until));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

// Text of an address as inet_pton reads it; empty for other families and for addresses only a neighbour
// knows.
std::string numeric(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    return ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
  }
  if (address->sa_family != AF_INET6) return {};
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
  if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) return {};
  return ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
}

Descriptor connect_one(const addrinfo& target, milliseconds limit) {
  const auto until = steady_clock::now() + limit;
  Descriptor socket(::socket(target.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return socket;
  if (::connect(socket.get(), target.ai_addr, target.ai_addrlen) == 0) return socket;
  if (errno != EINPROGRESS || !is_ready(socket.get(), POLLOUT, until)) return Descriptor();
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? std::move(socket) : Descriptor();
}

// Listens on every interface, with IPv6 where the kernel has it.
Descriptor listening_socket() {
  Descriptor v6(::socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int no = 0;
  sockaddr_in6 any6{};
  any6.sin6_family = AF_INET6;
  if (v6.get() >= 0 && ::setsockopt(v6.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) == 0 &&
      ::bind(v6.get(), reinterpret_cast<const sockaddr*>(&any6), sizeof any6) == 0 &&
      ::listen(v6.get(), SOMAXCONN) == 0)
    return v6;
  Descriptor v4(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in any4{};
  any4.sin_family = AF_INET;
  if (v4.get() < 0 || ::bind(v4.get(), reinterpret_cast<const sockaddr*>(&any4), sizeof any4) != 0 ||
      ::listen(v4.get(), SOMAXCONN) != 0)
    throw Error(ErrorKind::communication, "no TCP port to listen on for heartbeats",
                std::generic_category().message(errno));
  return v4;
}

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

Channel::Channel(Descriptor socket) : socket_(std::move(socket)) {
  if (socket_.get() < 0) link_ = Link::broken;
  const int yes = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

void Channel::send(std::string_view line) {
  if (link_ != Link::open || unsent_.size() + line.size() > kLongestLine) return;
  unsent_ += line;
  unsent_ += '\n';
  flush();
}

void Channel::flush() {
  while (link_ == Link::open && !unsent_.empty()) {
    const ssize_t count = ::send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    // What has arrived before the connection ended is still to be read: only receive() says how it ended.
    if (count < 0) return unsent_.clear();
    unsent_.erase(0, static_cast<std::size_t>(count));
  }
}

bool Channel::flush_within(milliseconds limit) {
  const auto until = steady_clock::now() + limit;
  for (flush(); has_unsent() && link_ == Link::open; flush())
    if (!is_ready(socket_.get(), POLLOUT, until)) return false;
  return true;
}

std::vector<std::string> Channel::receive() {
  std::array<char, 16384> buffer;
  while (link_ == Link::open) {
    const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    const bool interrupted = count < 0 && errno == EINTR;
    if (interrupted) continue;
    if (count > 0 && received_.size() < kLongestLine) {
      received_.append(buffer.data(), static_cast<std::size_t>(count));
    } else if (count == 0 || (count < 0 && (errno == ECONNRESET || errno == EPIPE))) {
      link_ = Link::closed;
    } else if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      break;
    } else {
      link_ = Link::broken;  // or an endless line: not one of ours
    }
  }
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t end; (end = received_.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(received_.substr(begin, end - begin));
  received_.erase(0, begin);
  return lines;
}

void Channel::put_back(std::span<const std::string> lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  received_.insert(0, text);
}

Listener::Listener() : socket_(listening_socket()) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&bound), &size);
  port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                            : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

std::vector<Channel> Listener::accept() {
  std::vector<Channel> channels;
  while (true) {
    Descriptor socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.get() < 0) return channels;
    channels.emplace_back(std::move(socket));
  }
}

std::vector<std::string> interface_addresses() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list(first, &::freeifaddrs);
  std::vector<std::string> addresses;
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || (each->ifa_flags & IFF_UP) == 0 || (each->ifa_flags & IFF_LOOPBACK) != 0)
      continue;
    if (const std::string text = numeric(each->ifa_addr); !text.empty()) addresses.push_back(text);
  }
  return addresses;
}

Channel connect_to(const std::string& address, int port, milliseconds limit) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  if (::getaddrinfo(address.c_str(), fmt::format("{}", port).c_str(), &hints, &first) != 0)
    return Channel(Descriptor());
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(first, &::freeaddrinfo);
  for (const addrinfo* target = first; target != nullptr; target = target->ai_next) {
    Descriptor socket = connect_one(*target, limit);
    if (socket.get() >= 0) return Channel(std::move(socket));
  }
  return Channel(Descriptor());
}

Bell::Bell() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (event_.get() < 0)
    throw Error(ErrorKind::communication, "no event descriptor for heartbeats",
                std::generic_category().message(errno));
}

void Bell::ring() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t count = ::write(event_.get(), &one, sizeof one);
}

void Bell::silence() {
  std::uint64_t rings = 0;
  [[maybe_unused]] const ssize_t count = ::read(event_.get(), &rings, sizeof rings);
}

}  // namespace shelfcast::parallel
