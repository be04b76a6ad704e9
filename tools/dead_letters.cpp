// The rows that are parked behind a dead letter: `lockstepd dead-letters` with the tools' defaults.

#include "dead_letters.hpp"

#include "program.hpp"

int main(int argc, char** argv) {
  using namespace lockstep;
  tools::Program program{
      "The rows that are parked behind a dead letter: lists them, shows their letters, retries "
      "what\n"
      "these say, or discards it; then their later changes are applied again.",
      "dead_letters list\n"
      "dead_letters show --key 'id=\"7\"'\n"
      "dead_letters retry --topic dbserver1.public.users\n"
      "dead_letters discard --key 'id=\"7\"'"};
  daemon::DeadLettersRequest request;
  daemon::add_options(program.options(), request);
  program.with_config();
  return program.run(argc, argv, [&] { return daemon::dead_letters(program.config(), request); });
}
