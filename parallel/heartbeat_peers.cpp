#include "parallel/heartbeat_peers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <thread>

#include "base/log.h"
#include "parallel/gather_texts.h"
#include "parallel/side_channel.h"

namespace shelfcast::parallel {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// What a rank tells the others through the communicator; port and token are rank 0's.
struct Introduction {
  std::string host, token;
  std::vector<std::string> addresses;
  int port = 0;
};

std::vector<Introduction> introduce(Communicator& world, const Introduction& own) {
  const std::string text =
      json{{"host", own.host}, {"token", own.token}, {"addresses", own.addresses}, {"port", own.port}}.dump(
          -1, ' ', false, json::error_handler_t::replace);
  std::vector<Introduction> all;
  for (const std::string& of_rank : gather_texts(world, text, "addresses for heartbeats")) {
    const json read = json::parse(of_rank);
    all.push_back({read.at("host"), read.at("token"), read.at("addresses"), read.at("port")});
  }
  return all;
}

std::string random_token() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

// Rank 0: accepts the others and passes on what concerns all.
class Hub : public Peers {
 public:
  explicit Hub(std::string token) : token_(std::move(token)) {}
  int port() const { return listener_.port(); }
  void set_table(std::shared_ptr<RunTable> table) { table_ = std::move(table); }

  void add_descriptors(std::vector<pollfd>& watched) const override {
    watched.push_back({listener_.descriptor(), POLLIN, 0});
    for (const Peer& peer : peers_) {
      const short events = peer.channel.has_unsent() ? POLLIN | POLLOUT : POLLIN;
      watched.push_back({peer.channel.descriptor(), events, 0});
    }
  }
  void serve() override {
    for (Channel& channel : listener_.accept())
      peers_.push_back({std::move(channel), {}, steady_clock::now()});
    for (Peer& peer : peers_) serve(peer);
    std::erase_if(peers_, [](const Peer& peer) {
      // Strangers get a moment to show the token.
      return peer.channel.link() != Link::open || (!peer.rank && steady_clock::now() - peer.came > 5s);
    });
  }
  void send(const Message& message) override {
    const std::string line = encode(message);
    for (Peer& peer : peers_)
      if (peer.rank) peer.channel.send(line);
  }
  bool flush(milliseconds limit) override {
    const auto until = steady_clock::now() + limit;
    bool all_left = true;
    for (Peer& peer : peers_) {
      const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now());
      all_left &= peer.channel.flush_within(std::max(left, 0ms));
    }
    return all_left;
  }
  bool knows_all() const override { return true; }

 private:
  struct Peer {
    Channel channel;
    std::optional<int> rank;  // once it has shown the token
    steady_clock::time_point came;
  };

  void serve(Peer& peer) {
    peer.channel.flush();
    for (const std::string& line : peer.channel.receive()) {
      try {
        handle(peer, decode(line));
      } catch (const Error& error) {
        if (!peer.rank) return;  // a stranger: serve() forgets it
        log::warn(error.what());
      }
    }
    if (!peer.rank || peer.channel.link() == Link::open) return;
    const RankStatus status = table_->status(*peer.rank);
    if (status.presence != Presence::connected) return;  // said goodbye
    if (peer.channel.link() == Link::broken)
      return log::warn("the connection for heartbeats to {} is broken", name_of(status));
    table_->set_presence(*peer.rank, Presence::gone);
    table_->fail(gone_error(status));
  }
  void handle(Peer& peer, const Message& message) {
    if (const auto* hello = std::get_if<Hello>(&message)) return welcome(peer, *hello);
    if (!peer.rank) return;
    if (const auto* beat = std::get_if<Beat>(&message)) table_->record(*beat);
    if (const auto* failure = std::get_if<Failure>(&message)) table_->fail(failure->error);
    if (std::holds_alternative<Question>(message)) peer.channel.send(encode(table_->to_send()));
    if (std::holds_alternative<Goodbye>(message)) table_->set_presence(*peer.rank, Presence::ended);
  }
  void welcome(Peer& peer, const Hello& hello) {
    if (hello.token != token_ || hello.rank <= 0 || hello.rank >= table_->size()) return;
    table_->set_presence(hello.rank, Presence::connected);
    peer.rank = hello.rank;
    peer.channel.send(encode(Hello{0, token_}));
    if (const auto failure = table_->failure()) peer.channel.send(encode(Failure{*failure}));
  }

  const std::string token_;
  Listener listener_;
  std::vector<Peer> peers_;
  std::shared_ptr<RunTable> table_;
};

// Every other rank: one connection to rank 0.
class Spoke : public Peers {
 public:
  Spoke(Channel channel, std::shared_ptr<RunTable> table)
      : channel_(std::move(channel)), table_(std::move(table)) {
    if (channel_.link() == Link::open) table_->set_presence(0, Presence::connected);
  }

  void add_descriptors(std::vector<pollfd>& watched) const override {
    if (channel_.link() != Link::open) return;
    const short events = channel_.has_unsent() ? POLLIN | POLLOUT : POLLIN;
    watched.push_back({channel_.descriptor(), events, 0});
  }
  void serve() override {
    if (channel_.link() != Link::open) return;
    channel_.flush();
    for (const std::string& line : channel_.receive()) {
      try {
        handle(decode(line));
      } catch (const Error& error) {
        log::warn(error.what());
      }
    }
    if (channel_.link() == Link::open) return;
    const RankStatus hub = table_->status(0);
    if (hub.presence != Presence::connected) return;  // said goodbye
    if (channel_.link() == Link::broken)
      return log::warn("the connection for heartbeats to {} is broken: this rank goes on without",
                       name_of(hub));
    table_->set_presence(0, Presence::gone);
    table_->fail(gone_error(hub));
  }
  void send(const Message& message) override { channel_.send(encode(message)); }
  bool flush(milliseconds limit) override { return channel_.flush_within(limit); }
  bool knows_all() const override { return channel_.link() != Link::open; }

 private:
  void handle(const Message& message) {
    if (const auto* beat = std::get_if<Beat>(&message)) table_->record(*beat);
    if (const auto* table = std::get_if<Table>(&message)) table_->record(*table);
    if (const auto* failure = std::get_if<Failure>(&message)) table_->fail(failure->error);
    if (std::holds_alternative<Goodbye>(message)) table_->set_presence(0, Presence::ended);
  }

  Channel channel_;
  std::shared_ptr<RunTable> table_;
};

// Threads of one process see each other's activity and share one table.
class InProcess : public Peers {
 public:
  explicit InProcess(std::shared_ptr<RunTable> table, int rank) : table_(std::move(table)), rank_(rank) {
    table_->set_presence(rank_, Presence::connected);
  }
  void add_descriptors(std::vector<pollfd>&) const override {}
  void serve() override {}
  void send(const Message& message) override {
    if (std::holds_alternative<Goodbye>(message)) table_->set_presence(rank_, Presence::ended);
  }
  bool flush(milliseconds) override { return true; }
  bool knows_all() const override { return true; }

 private:
  std::shared_ptr<RunTable> table_;
  int rank_;
};

// Whether rank 0 of our run answers on `channel` with the run's token.
bool is_welcome(Channel& channel, int rank, const std::string& token, milliseconds limit) {
  channel.send(encode(Hello{rank, token}));
  const auto until = steady_clock::now() + limit;
  while (channel.link() == Link::open && steady_clock::now() < until) {
    pollfd watched{channel.descriptor(), POLLIN, 0};
    ::poll(&watched, 1, 100);
    const std::vector<std::string> lines = channel.receive();
    if (lines.empty()) continue;
    channel.put_back(std::span(lines).subspan(1));
    const Message answer = decode(lines[0]);
    const auto* hello = std::get_if<Hello>(&answer);
    return hello != nullptr && hello->token == token;
  }
  return false;
}

// The first way to rank 0 that works; broken when there is none.
Channel connect_to_hub(int rank, const std::string& host, const Introduction& hub) {
  std::vector<std::string> addresses = hub.addresses;
  addresses.insert(addresses.begin(), hub.host);
  if (hub.host == host) addresses.insert(addresses.begin(), "127.0.0.1");
  for (const std::string& address : addresses) {
    try {
      Channel channel = connect_to(address, hub.port, 2s);
      if (is_welcome(channel, rank, hub.token, 3s)) return channel;
    } catch (const Error&) {
      // Somebody else listens there.
    }
  }
  log::warn(
      "no heartbeats from this rank: none of {} lets it connect to port {} of rank 0 on {}; if it is lost, "
      "only "
      "deadlines will tell",
      fmt::join(addresses, ", "), hub.port, hub.host);
  return Channel(Descriptor());
}

std::vector<std::string> hosts_of(const std::vector<Introduction>& all) {
  std::vector<std::string> hosts;
  for (const Introduction& each : all) hosts.push_back(each.host);
  return hosts;
}

}  // namespace

PeersAndTable meet_over_tcp(Communicator& world, const std::string& host, milliseconds interval) {
  std::unique_ptr<Hub> hub;
  Introduction own{.host = host, .token = {}, .addresses = {}};
  if (world.rank() == 0) {
    own.token = random_token();
    own.addresses = interface_addresses();
    hub = std::make_unique<Hub>(own.token);
    own.port = hub->port();
  }
  const std::vector<Introduction> all = introduce(world, own);
  auto table = std::make_shared<RunTable>(hosts_of(all), BeatSource::messages, interval);
  if (hub) {
    hub->set_table(table);
    return {table, std::move(hub)};
  }
  return {table, std::make_unique<Spoke>(connect_to_hub(world.rank(), host, all[0]), table)};
}

PeersAndTable meet_in_process(Communicator& world, const std::string& host, milliseconds interval) {
  std::shared_ptr<RunTable> table;
  if (world.rank() == 0)
    table = std::make_shared<RunTable>(std::vector<std::string>(static_cast<std::size_t>(world.size()), host),
                                       BeatSource::this_process, interval);
  // Rank 0's pointer, which lives until all have passed the barrier.
  const std::shared_ptr<RunTable>* address = &table;
  const auto all = world.all_gather_bytes(std::as_bytes(std::span(&address, 1)), "the table of heartbeats");
  SHELFCAST_ASSERT(all[0].size() == sizeof(void*));
  std::copy_n(all[0].data(), all[0].size(), reinterpret_cast<std::byte*>(&address));
  const std::shared_ptr<RunTable> shared = *address;
  auto peers = std::make_unique<InProcess>(shared, world.rank());
  world.barrier("the table of heartbeats is shared");
  return {shared, std::move(peers)};
}

}  // namespace shelfcast::parallel
