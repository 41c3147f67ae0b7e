// Reads lines of [reference, base] and writes, for each, where it leads; [] if
// nowhere.
const lines = require("readline").createInterface({ input: process.stdin });
let out = [];
function flush() {
  if (out.length > 0) process.stdout.write(out.join("\n") + "\n");
  out = [];
}
lines.on("line", (line) => {
  let answer = [];
  try {
    const u = new URL(...JSON.parse(line));
    answer = [u.origin, u.pathname, u.search, u.hash, u.searchParams.get("return_to") ?? ""];
  } catch (err) {
    if (err.code !== "ERR_INVALID_URL") throw err;
  }
  if (out.push(JSON.stringify(answer)) === 256) flush();
  if (out.length === 1) setImmediate(flush);
});
