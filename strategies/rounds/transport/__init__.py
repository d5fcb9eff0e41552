"""How contents travel: in Flower's messages, or by the store, with messages that name them."""
