package ginauth_test

func faultsN() []fault {
	return []fault{}
}
