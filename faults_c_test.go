package ginauth_test

func faultsC() []fault {
	return []fault{}
}
