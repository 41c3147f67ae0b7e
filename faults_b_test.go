package ginauth_test

import "slices"

// faultsB are those of the callback, /authorize/:provider.
func faultsB() []fault {
	return slices.Concat(faultsBState(), faultsBReplay(), faultsBAnswer(), faultsBMessages(), faultsBLanding(), faultsBChanges(), faultsBForm())
}
