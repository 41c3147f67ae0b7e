package providers_test

import "testing"

// Who has no picture and no user name has these.
func TestStravaWithoutPicture(t *testing.T) {
	s := newStandIn(t, "strava")
	s.replace("athlete.json", `"https://dgalywyr863hv.cloudfront.net/pictures/athletes/made-up/1/large.jpg"`, `"avatar/athlete/large.png"`)
	s.replace("athlete.json", `"hollow_oak"`, `null`)
	if u := s.app(s.provider()).signIn(); u.Picture != "" || u.Username != "" || u.Name != "Petra Lindqvist" {
		t.Errorf("signed in as %+v", u)
	}
}
