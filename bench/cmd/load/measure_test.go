package main

import (
	"testing"
	"time"
)

const printed = `Running 2s test @ http://127.0.0.1:1
  1 threads and 26 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    22.47ms   16.05ms 130.84ms   77.26%
    Req/Sec     1.28k   184.68     1.60k    65.00%
  Latency Distribution
     50%   18.51ms
     75%   30.06ms
     90%   43.10ms
     99%    1.02s
  2560 requests in 2.00s, 1.03MB read
  Socket errors: connect 1, read 2, write 0, timeout 4
Requests/sec:   1280.55
Transfer/sec:    526.57KB
wrong answers: 3
`

func TestParse(t *testing.T) {
	l, err := parse(printed)
	want := lane{rate: 1280.55, p50: 18510 * time.Microsecond, p99: 1020 * time.Millisecond, wrong: 10}
	if err != nil || l != want {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := parse("unable to connect to 127.0.0.1:1 Connection refused\n"); err == nil {
		t.Error("that is a result")
	}
}
