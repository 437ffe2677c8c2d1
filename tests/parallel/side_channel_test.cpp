#include "parallel/side_channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>

#include "base/error.h"
#include "parallel/heartbeat_peers.h"
#include "parallel/heartbeat_wire.h"
#include "parallel/launch.h"

namespace shelfcast::parallel {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Two ends of one connection.
std::pair<Channel, Channel> connected() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  return {Channel(Descriptor(ends[0])), Channel(Descriptor(ends[1]))};
}

template <typename Done>
void wait_until(Done done) {
  for (int i = 0; i < 500 && !done(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(done());
}

TEST(SideChannel, lines_arrive_whole_and_in_order) {
  auto [here, there] = connected();
  here.send("one");
  here.send("two");
  EXPECT_THAT(there.receive(), ElementsAre("one", "two"));
  EXPECT_THAT(there.receive(), IsEmpty());
  EXPECT_EQ(there.link(), Link::open);
}

TEST(SideChannel, a_line_that_comes_in_pieces_is_given_out_once_it_is_whole) {
  auto [here, there] = connected();
  ::send(here.descriptor(), "be", 2, 0);
  EXPECT_THAT(there.receive(), IsEmpty());
  ::send(here.descriptor(), "at\nne", 5, 0);
  EXPECT_THAT(there.receive(), ElementsAre("beat"));
  ::send(here.descriptor(), "xt\n", 3, 0);
  EXPECT_THAT(there.receive(), ElementsAre("next"));
}

TEST(SideChannel, more_than_the_kernel_takes_at_once_goes_out_as_it_is_read) {
  auto [here, there] = connected();
  const std::string line(std::size_t{2} << 20, 'x');
  here.send(line);
  EXPECT_TRUE(here.has_unsent());
  std::vector<std::string> lines;
  while (lines.empty()) {
    lines = there.receive();
    here.flush();
  }
  EXPECT_THAT(lines, ElementsAre(line));
}

TEST(SideChannel, what_was_sent_before_the_end_is_read_and_then_the_end_is_seen) {
  auto [here, there] = connected();
  here.send("goodbye");
  here = Channel(Descriptor());
  EXPECT_THAT(there.receive(), ElementsAre("goodbye"));
  EXPECT_EQ(there.link(), Link::closed);
  there.send("to nobody");
  EXPECT_FALSE(there.has_unsent());
}

TEST(SideChannel, a_reader_that_never_reads_costs_no_endless_memory) {
  auto [here, there] = connected();
  const std::string line(std::size_t{1} << 20, 'x');
  for (int i = 0; i < 20; ++i) here.send(line);
  EXPECT_FALSE(here.flush_within(20ms));
}

TEST(SideChannel, a_port_nobody_listens_on_gives_a_broken_channel) {
  int port = 0;
  { port = Listener().port(); }
  EXPECT_EQ(connect_to("127.0.0.1", port, 500ms).link(), Link::broken);
  EXPECT_EQ(connect_to("no.such.host.invalid", port, 500ms).link(), Link::broken);
}

TEST(SideChannel, a_listener_is_reached_by_number) {
  Listener listener;
  Channel here = connect_to("127.0.0.1", listener.port(), 1s);
  ASSERT_EQ(here.link(), Link::open);
  std::vector<Channel> accepted;
  wait_until([&] { return !accepted.empty() || !(accepted = listener.accept()).empty(); });
  here.send("hello");
  std::vector<std::string> lines;
  wait_until([&] { return !lines.empty() || !(lines = accepted[0].receive()).empty(); });
  EXPECT_THAT(lines, ElementsAre("hello"));
}

TEST(HeartbeatWire, every_message_survives_the_way) {
  const Beat beat{.rank = 2,
                  .host = "n3",
                  .phase = "train",
                  .step = 12,
                  .operation = "reading \"a\nb\"",
                  .kind = activity::Kind::file,
                  .operation_seconds = 1.5,
                  .progress = std::uint64_t{1} << 60,
                  .seconds_since_progress = 0.25};
  const std::string line = encode(beat);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Beat back = std::get<Beat>(decode(line));
  EXPECT_EQ(back.operation, beat.operation);
  EXPECT_EQ(back.kind, beat.kind);
  EXPECT_EQ(back.progress, beat.progress);

  Error error(ErrorKind::timeout, "problem", "why", "advice");
  error.rank = 3;
  error.host = "n1";
  const Error failure = std::get<Failure>(decode(encode(Failure{error}))).error;
  EXPECT_STREQ(failure.what(), error.what());
  EXPECT_EQ(failure.kind(), ErrorKind::timeout);
  EXPECT_EQ(failure.rank, 3);
  EXPECT_FALSE(failure.step);
  EXPECT_EQ(failure.host, "n1");

  EXPECT_EQ(std::get<Hello>(decode(encode(Hello{4, "abc"}))).token, "abc");
  EXPECT_TRUE(std::holds_alternative<Question>(decode(encode(Question()))));
  EXPECT_TRUE(std::holds_alternative<Goodbye>(decode(encode(Goodbye()))));
}

TEST(HeartbeatWire, bytes_that_are_no_text_are_replaced) {
  Beat beat;
  beat.operation = "reading \xff.h5";
  EXPECT_THAT(std::get<Beat>(decode(encode(beat))).operation, HasSubstr(".h5"));
}

TEST(HeartbeatWire, what_is_not_ours_is_an_error) {
  for (const char* line :
       {"", "GET / HTTP/1.1", "[]", "{}", "{\"beat\":{}}", "{\"beat\":3}", "{\"other\":null}",
        "{\"hello\":{\"rank\":\"x\",\"token\":1}}", "{\"table\":[{\"presence\":9}]}"})
    EXPECT_THROW(decode(line), Error) << line;
}

// One hub and two spokes, all in this process, driven by hand.
struct Star {
  std::vector<PeersAndTable> ranks = std::vector<PeersAndTable>(3);

  Star() {
    run_ranks_as_threads(3, [this](Communicator& world) {
      PeersAndTable& own = ranks[static_cast<std::size_t>(world.rank())];
      own = meet_over_tcp(world, "n1", 100ms);
      // The hub must serve for the others to be welcome.
      for (int i = 0; world.rank() == 0 && i < 1000 && connected() < 2; ++i) {
        own.peers->serve();
        std::this_thread::sleep_for(1ms);
      }
    });
  }
  int connected() const {
    int count = 0;
    for (const RankStatus& status : ranks[0].table->all()) count += status.presence == Presence::connected;
    return count;
  }
  template <typename Done>
  void serve_until(Done done) {
    wait_until([&] {
      for (const PeersAndTable& rank : ranks)
        if (rank.peers) rank.peers->serve();
      return done();
    });
  }
};

TEST(HeartbeatPeers, beats_reach_rank_0_and_its_table_whoever_asks) {
  Star star;
  star.ranks[1].peers->send(Beat{.rank = 1, .host = "n1", .phase = "train", .step = 5, .operation = {}});
  star.serve_until([&] { return star.ranks[0].table->status(1).last.phase == "train"; });
  star.ranks[2].peers->send(Question());
  star.serve_until([&] { return star.ranks[2].table->tables() == 1; });
  EXPECT_EQ(star.ranks[2].table->status(1).last.step, 5);
}

TEST(HeartbeatPeers, a_connection_that_ends_without_goodbye_fails_the_run) {
  Star star;
  star.ranks[1].peers.reset();
  star.serve_until([&] { return star.ranks[0].table->has_failed(); });
  EXPECT_EQ(star.ranks[0].table->failure()->problem(), "rank 1 on n1 is gone");
  star.ranks[0].peers->send(Failure{*star.ranks[0].table->failure()});
  star.serve_until([&] { return star.ranks[2].table->has_failed(); });
  EXPECT_EQ(star.ranks[2].table->failure()->rank, 1);
}

TEST(HeartbeatPeers, strangers_are_not_listened_to) {
  Star star;
  std::vector<pollfd> watched;
  star.ranks[0].peers->add_descriptors(watched);  // the listener first
  sockaddr_in6 bound{};
  socklen_t size = sizeof bound;
  ASSERT_EQ(::getsockname(watched[0].fd, reinterpret_cast<sockaddr*>(&bound), &size), 0);
  Channel stranger = connect_to("127.0.0.1", ntohs(bound.sin6_port), 1s);
  stranger.send("GET / HTTP/1.1");
  stranger.send(encode(Hello{1, "a wrong token"}));
  stranger.send(encode(Failure{input_error("nonsense")}));
  for (int i = 0; i < 20; ++i) {
    star.serve_until([] { return true; });
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_THAT(stranger.receive(), IsEmpty());
  EXPECT_FALSE(star.ranks[0].table->has_failed());
}

TEST(HeartbeatPeers, the_others_notice_that_rank_0_is_gone) {
  Star star;
  star.ranks[0].peers.reset();
  star.serve_until([&] { return star.ranks[1].table->has_failed() && star.ranks[2].table->has_failed(); });
  EXPECT_EQ(star.ranks[2].table->failure()->problem(), "rank 0 on n1 is gone");
}

TEST(HeartbeatPeers, a_goodbye_is_no_failure_on_either_side) {
  Star star;
  star.ranks[1].peers->send(Goodbye());
  star.ranks[1].peers.reset();
  star.serve_until([&] { return star.ranks[0].table->status(1).presence == Presence::ended; });
  star.ranks[0].peers->send(Goodbye());
  star.ranks[0].peers.reset();
  star.serve_until([&] { return star.ranks[2].table->status(0).presence == Presence::ended; });
  star.serve_until([] { return true; });
  EXPECT_FALSE(star.ranks[0].table->has_failed());
  EXPECT_FALSE(star.ranks[2].table->has_failed());
}

}  // namespace
}  // namespace shelfcast::parallel
