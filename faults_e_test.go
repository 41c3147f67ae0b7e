package ginauth_test

func faultsE() []fault {
	return []fault{}
}
