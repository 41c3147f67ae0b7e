package ginauth_test

func faultsL() []fault {
	return []fault{}
}
