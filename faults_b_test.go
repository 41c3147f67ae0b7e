package ginauth_test

func faultsB() []fault {
	return []fault{}
}
