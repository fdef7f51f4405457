(* The paper's Lemma 3.1 and Theorem 3.1 as propositions, and what it takes to refute them.

   The paper's lemma has no hypothesis on X; `lemma_3_1_at d K m` grants it those of Theorem 3.1,
   so that its refutation is the stronger one. The theorem's conclusion is taken apart in the same
   way: `conclusion` ranges over what follows from D = D^*, E(X) = Y^*. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders.
Open Scope R_scope.

(* Lemma 3.1: any minimiser of L_ND over unit-norm D and any E also minimises L_K. *)
Definition lemma_3_1 : Prop := forall d K N m p X D E,
  (1 <= m <= K)%nat -> full_support K p ->
  minimises d K (nested_loss d K N m p X) D E -> minimises d K (full_loss d K N m X) D E.

(* The same for data X = D^* Y^* that meet the hypotheses of Theorem 3.1. *)
Definition lemma_3_1_at (d K m : nat) : Prop := forall N p X Ds Ys D E,
  full_support K p -> truth d K N m X Ds Ys ->
  minimises d K (nested_loss d K N m p X) D E -> minimises d K (full_loss d K N m X) D E.

(* What a statement may conclude of a minimiser (D, E), for X = D^* Y^*. *)
Definition conclusion := forall (N : nat) (X Ds Ys D : mat) (E : vec -> vec), Prop.

Definition theorem_3_1_at (d K m : nat) (p_is : vec -> Prop) (C : conclusion) : Prop :=
  forall N p X Ds Ys D E,
  p_is p -> truth d K N m X Ds Ys ->
  minimises d K (nested_loss d K N m p X) D E -> C N X Ds Ys D E.

(* D = D^* and E(X) = Y^*. *)
Definition same_atoms (d K : nat) : conclusion := fun N X Ds Ys D E =>
  forall i j, (i < d)%nat -> (j < K)%nat -> D i j = Ds i j.
Definition same_latents (K : nat) : conclusion := fun N X Ds Ys D E =>
  forall j n, (j < K)%nat -> (n < N)%nat -> E (col X n) j = Ys j n.

(* Theorem 3.1: under its hypotheses D = D^* and E(X) = Y^* at every minimiser of L_ND. *)
Definition theorem_3_1 : Prop := forall d K m, (1 <= m <= K)%nat ->
  theorem_3_1_at d K m (full_support K)
    (fun N X Ds Ys D E => same_atoms d K N X Ds Ys D E /\ same_latents K N X Ds Ys D E).

(* Weaker: D = D^* up to signs; every atom of D is one of D^*, up to its sign. *)
Definition parallel (d : nat) (x y : vec) : Prop :=
  (forall i, (i < d)%nat -> x i = y i) \/ (forall i, (i < d)%nat -> x i = - y i).
Definition same_order (d K : nat) : conclusion := fun N X Ds Ys D E =>
  forall j, (j < K)%nat -> parallel d (col D j) (col Ds j).
Definition atoms_among (d K : nat) (Ds D : mat) : Prop :=
  forall j, (j < K)%nat -> exists k, (k < K)%nat /\ parallel d (col D j) (col Ds k).
Definition recovered (d K : nat) : conclusion := fun N X Ds Ys D E => atoms_among d K Ds D.

(* D is D^* up to order and signs. *)
Definition signed_permutation (d K : nat) (Ds D : mat) : Prop := exists order : nat -> nat,
  (forall j, (j < K)%nat -> (order j < K)%nat) /\
  (forall j k, (j < K)%nat -> (k < K)%nat -> order j = order k -> j = k) /\
  forall j, (j < K)%nat -> parallel d (col D j) (col Ds (order j)).

(* More than a refutation: an instance with minimisers, of which none is as concluded. *)
Definition theorem_3_1_never_at (d K m : nat) (p_is : vec -> Prop) (C : conclusion) : Prop :=
  exists N p X Ds Ys, p_is p /\ truth d K N m X Ds Ys /\
  (exists D E, minimises d K (nested_loss d K N m p X) D E) /\
  forall D E, minimises d K (nested_loss d K N m p X) D E -> ~ C N X Ds Ys D E.

(* spark(D) > 2m: m-sparse codes are unique. *)
Lemma unique_codes d K m D y y' :
  spark_above d K D (2 * m) -> sparse K m y -> sparse K m y' ->
  (forall i, (i < d)%nat -> sum K (fun j => D i j * y j) = sum K (fun j => D i j * y' j)) ->
  forall j, (j < K)%nat -> y j = y' j.
Proof.
  intros S [s [L H]] [s' [L' H']] E j Hj. apply Rminus_diag_uniq.
  apply (S (fun k => y k - y' k)); auto.
  - exists (s ++ s')%list. rewrite app_length. split; [lia|].
    intros k Hk N. apply in_or_app.
    destruct (Req_EM_T (y k) 0) as [Z|Z]; [|now left; apply H].
    destruct (Req_EM_T (y' k) 0) as [Z'|Z']; [|now right; apply H'].
    elim N. rewrite Z, Z'. ring.
  - intros i Hi. rewrite (sum_ext K _ (fun k => D i k * y k - D i k * y' k)) by (intros; ring).
    rewrite sum_minus, E; auto. ring.
Qed.

Lemma truth_consistent d K N m X Ds Ys : truth d K N m X Ds Ys -> consistent d K N X Ys.
Proof.
  intros T n n' Hn Hn' H. apply (unique_codes d K m Ds (col Ys n) (col Ys n')).
  - apply (true_spark _ _ _ _ _ _ _ T).
  - now apply (true_sparse _ _ _ _ _ _ _ T).
  - now apply (true_sparse _ _ _ _ _ _ _ T).
  - intros i Hi. unfold col. rewrite <- !(true_data _ _ _ _ _ _ _ T); auto.
Qed.

Lemma truth_full_loss d K N m X Ds Ys : truth d K N m X Ds Ys -> code_loss d N X K Ds Ys = 0.
Proof.
  intros T. apply sum_zero; intros n Hn. apply sum_zero; intros i Hi.
  unfold residual, col. rewrite (true_data _ _ _ _ _ _ _ T); auto. ring.
Qed.

(* A minimiser of L_ND that leaves a residual refutes the lemma. *)
Lemma refutes_lemma d K N m p X Ds Ys D Y :
  full_support K p -> truth d K N m X Ds Ys ->
  unit_norm d K D -> sparse_columns K N m Y -> consistent d K N X Y ->
  (forall D' Y', unit_norm d K D' -> sparse_columns K N m Y' ->
     nested_code_loss d K N p X D Y <= nested_code_loss d K N p X D' Y') ->
  0 < code_loss d N X K D Y -> ~ lemma_3_1_at d K m.
Proof.
  intros P T U S C B R L.
  destruct (minimiser_of_codes d K N m p X D Y U S C B) as [E [M [_ HE]]].
  destruct (encoder_of_codes d K N m X Ys) as [Es [He [_ HEs]]].
  - apply (true_sparse _ _ _ _ _ _ _ T).
  - eapply truth_consistent; eauto.
  - apply (L N p X Ds Ys D E P T), proj2 in M.
    specialize (M Ds Es (true_atoms _ _ _ _ _ _ _ T) He).
    rewrite (full_loss_of_codes d K N m X D Y), (full_loss_of_codes d K N m X Ds Ys) in M; auto.
    rewrite (truth_full_loss d K N m X Ds Ys T) in M. lra.
Qed.

(* A minimiser of L_ND without what the theorem concludes refutes it. *)
Lemma refutes_theorem d K N m p (p_is : vec -> Prop) (C : conclusion) X Ds Ys D Y :
  p_is p -> truth d K N m X Ds Ys ->
  unit_norm d K D -> sparse_columns K N m Y -> consistent d K N X Y ->
  (forall D' Y', unit_norm d K D' -> sparse_columns K N m Y' ->
     nested_code_loss d K N p X D Y <= nested_code_loss d K N p X D' Y') ->
  (forall E, ~ C N X Ds Ys D E) -> ~ theorem_3_1_at d K m p_is C.
Proof.
  intros P T U S Cs B R L.
  destruct (minimiser_of_codes d K N m p X D Y U S Cs B) as [E [M _]].
  apply (R E), (L N p X Ds Ys D E); auto.
Qed.

(* If what is as concluded costs more than some point, no minimiser is. *)
Lemma never_minimises d K N m p (p_is : vec -> Prop) (C : conclusion) X Ds Ys D Y :
  p_is p -> truth d K N m X Ds Ys ->
  unit_norm d K D -> sparse_columns K N m Y -> consistent d K N X Y ->
  (forall D' Y', unit_norm d K D' -> sparse_columns K N m Y' ->
     nested_code_loss d K N p X D Y <= nested_code_loss d K N p X D' Y') ->
  (forall D' Y' E', unit_norm d K D' -> sparse_columns K N m Y' -> C N X Ds Ys D' E' ->
     nested_code_loss d K N p X D Y < nested_code_loss d K N p X D' Y') ->
  theorem_3_1_never_at d K m p_is C.
Proof.
  intros P T U S Cs B More. exists N, p, X, Ds, Ys.
  split; [exact P|split; [exact T|split]].
  - destruct (minimiser_of_codes d K N m p X D Y U S Cs B) as [E [M _]]. now exists D, E.
  - intros D' E' [[U' H'] M] Con.
    destruct (encoder_of_codes d K N m X Y S Cs) as [E [H [_ HE]]].
    specialize (M D E U H). rewrite !nested_loss_of_codes in M.
    rewrite (nested_code_loss_ext d K N p X D _ Y HE) in M.
    pose proof (More D' (codes K m X E') E' U' (codes_sparse K N m X E') Con). lra.
Qed.

Lemma theorem_3_1_at_never d K m p_is C :
  theorem_3_1_never_at d K m p_is C -> ~ theorem_3_1_at d K m p_is C.
Proof.
  intros [N [p [X [Ds [Ys [P [T [[D [E M]] H]]]]]]]] L.
  apply (H D E M), (L N p X Ds Ys D E P T M).
Qed.

Lemma lemma_3_1_at_of d K m : (1 <= m <= K)%nat -> lemma_3_1 -> lemma_3_1_at d K m.
Proof. intros M L N p X Ds Ys D E P _. now apply L. Qed.

Lemma theorem_3_1_at_of d K m (C : conclusion) : (1 <= m <= K)%nat -> theorem_3_1 ->
  (forall N X Ds Ys D E,
     same_atoms d K N X Ds Ys D E -> same_latents K N X Ds Ys D E -> C N X Ds Ys D E) ->
  theorem_3_1_at d K m (full_support K) C.
Proof. intros M L H N p X Ds Ys D E P T O. apply H; now apply (L d K m M N p X Ds Ys D E). Qed.
